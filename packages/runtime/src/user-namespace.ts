/** The user namespace of this process. Only in the initial one it can write trusted.* attributes and register backing files. */
import { readFileSync } from "node:fs";

/** The map of the initial user namespace: every id is itself. */
const WHOLE_MAP = /^\s*0\s+0\s+4294967295\s*$/;

/** The user behind this id of the process's user namespace. */
export function uidOutside(uid: number, map?: string): number {
  try {
    for (const line of (map ?? readFileSync("/proc/self/uid_map", "latin1")).trim().split("\n")) {
      const [inside = 0, outside = 0, count = 0] = line.trim().split(/\s+/).map(Number);
      if (uid >= inside && uid < inside + count) return outside + uid - inside;
    }
  } catch {
    // A kernel without user namespaces.
  }
  return uid;
}

export function inInitialNamespace(): boolean {
  try {
    return WHOLE_MAP.test(readFileSync("/proc/self/uid_map", "latin1"));
  } catch {
    // A kernel without user namespaces.
    return true;
  }
}
