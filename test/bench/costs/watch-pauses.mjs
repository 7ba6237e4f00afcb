// Loaded by a daemon that is measured (--import): when each pause for garbage began (as Date.now()) and how long it took, in
// milliseconds, written when it ends to WATCH_PAUSES_IN/PID.json. The observer is told after the pause, so it adds nothing to it.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PerformanceObserver } from "node:perf_hooks";

const pauses = [];
new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries()) pauses.push([performance.timeOrigin + startTime, duration]);
}).observe({ entryTypes: ["gc"] });

const folder = process.env.WATCH_PAUSES_IN;
if (folder !== undefined) process.on("exit", () => writeFileSync(join(folder, `${process.pid}.json`), JSON.stringify(pauses)));
