/**
 * Tells whether this process is in the initial user namespace: only there it can write trusted.* attributes and register backing
 * files.
 */
import { readFileSync } from "node:fs";

/** The map of the initial user namespace: every id is itself. */
const WHOLE_MAP = /^\s*0\s+0\s+4294967295\s*$/;

export function inInitialNamespace(): boolean {
  try {
    return WHOLE_MAP.test(readFileSync("/proc/self/uid_map", "latin1"));
  } catch {
    // A kernel without user namespaces.
    return true;
  }
}
