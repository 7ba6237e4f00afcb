/** The number of processors of the machine, whichever of them this process may run on. */
import { readFileSync } from "node:fs";

/** possible: processors that may ever come, for which the kernel sizes its tables. */
export function countProcessors(which: "possible" | "online"): number {
  const ranges = readFileSync(`/sys/devices/system/cpu/${which}`, "latin1").trim().split(",");
  return ranges.reduce((sum, range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return sum + last - first + 1;
  }, 0);
}
