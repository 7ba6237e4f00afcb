/** How many processors the machine has, whatever of them this process may run on. */
import { readFileSync } from "node:fs";

/** possible: those that may ever come, for which the kernel makes its tables. */
export function countProcessors(which: "possible" | "online"): number {
  const ranges = readFileSync(`/sys/devices/system/cpu/${which}`, "latin1").trim().split(",");
  return ranges.reduce((sum, range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return sum + last - first + 1;
  }, 0);
}
