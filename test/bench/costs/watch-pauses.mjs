// Loaded by a daemon that is measured (--import): when each pause for garbage began (as Date.now()), how long it took, in milliseconds, and
// whether it was one of the young generation, written when it ends to WATCH_PAUSES_IN/PID.json as { refused, pauses }. The observer is told
// after the pause, so it adds nothing to it.
//
// With WATCH_PAUSES_FIRST it has a processor whenever it wants one; `refused` says why it has not. Children inherit it. Else what it is kept waiting for one while it collects is
// in the pause, too: with as many clients as processors these get slices of three milliseconds, in a pause as at any moment.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { constants, PerformanceObserver } from "node:perf_hooks";

let refused = "";
if (process.env.WATCH_PAUSES_FIRST !== undefined) {
  const how = ["--all-tasks", "--fifo", "--pid", "1", String(process.pid)];
  const { error, status, stderr } = spawnSync("chrt", how, { encoding: "utf8" });
  if (status !== 0) refused = error?.message ?? stderr;
}

const pauses = [];
new PerformanceObserver((list) => {
  for (const { startTime, duration, detail } of list.getEntries()) {
    pauses.push([performance.timeOrigin + startTime, duration, detail.kind === constants.NODE_PERFORMANCE_GC_MINOR]);
  }
}).observe({ entryTypes: ["gc"] });

const folder = process.env.WATCH_PAUSES_IN;
if (folder !== undefined) process.on("exit", () => writeFileSync(join(folder, `${process.pid}.json`), JSON.stringify({ refused, pauses })));
