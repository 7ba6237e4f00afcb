/** Whether this process is in the initial user namespace: only there are trusted.* attributes written and backing files registered. */
import { readFileSync } from "node:fs";

/** Of a process that no user namespace holds: every id is itself. */
const WHOLE_MAP = /^\s*0\s+0\s+4294967295\s*$/;

export function inInitialNamespace(): boolean {
  try {
    return WHOLE_MAP.test(readFileSync("/proc/self/uid_map", "latin1"));
  } catch {
    // A kernel without user namespaces.
    return true;
  }
}
