/**
 * Chooses the owner of fcntl and flock locks: the kernel holds them by its inodes, the daemon by files.
 *
 * The kernel's own locks cost nothing, and spare the daemon a request for each close. But a file can have two inodes in the kernel, each
 * with its own locks: the inode that readers of the lower file still use, and the inode of later opens, after a copy-up or a mediated open.
 * So "auto" chooses the daemon if that can happen: with an upper layer, or with a policy.
 *
 * It does not choose the daemon in a separate pid namespace: the kernel tells the daemon the owner's pid, and refuses every lock of a
 * process without a pid there (fs/fuse/file.c fuse_setlk: EOVERFLOW).
 */
import { readlinkSync } from "node:fs";
import type { MountConfig } from "../config/mount-config.js";

/** include/linux/proc_ns.h PROC_PID_INIT_INO */
const FIRST_PID_NAMESPACE = "pid:[4026531836]";

function seesAllProcesses(): boolean {
  try {
    return readlinkSync("/proc/self/ns/pid") === FIRST_PID_NAMESPACE;
  } catch {
    return false;
  }
}

export function daemonHoldsLocks(
  config: Pick<MountConfig, "locks" | "upper" | "decision">,
  allVisible: () => boolean = seesAllProcesses,
): boolean {
  switch (config.locks) {
    case "kernel":
      return false;
    case "daemon":
      return true;
    case "auto":
      return (config.upper !== undefined || config.decision.kind !== "none") && allVisible();
  }
}
