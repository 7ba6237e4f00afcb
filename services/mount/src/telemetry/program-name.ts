/** The program of a process, for people. */
import { readFileSync, readlinkSync } from "node:fs";

/** The executable of a process, or its name in brackets if the former cannot be read. As bytes, one character each. */
export function programOf(pid: number): string {
  if (pid === 0) return "[unknown]";
  try {
    return readlinkSync(`/proc/${pid}/exe`, "latin1");
  } catch {
    try {
      return `[${readFileSync(`/proc/${pid}/comm`, "latin1").trimEnd()}]`;
    } catch {
      return "[unknown]";
    }
  }
}
