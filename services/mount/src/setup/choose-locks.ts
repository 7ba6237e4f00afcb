/**
 * Who keeps fcntl and flock locks: the kernel for each of its inodes, or we for each file.
 *
 * The kernel's own locks cost nothing, and then no close is told to the daemon. But a file can come to have two inodes in
 * the kernel, each with locks of its own: the one that readers of the lower file go on with, and the one it is opened by
 * after its copy-up, or after an open whose bytes have to pass the daemon. So "auto" takes the daemon wherever that can
 * happen: with an upper layer, or with a policy.
 *
 * Not in a pid namespace of our own: the kernel tells the daemon the owner's pid, and refuses every lock of a process
 * that has none there (fs/fuse/file.c fuse_setlk: EOVERFLOW).
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

export function daemonKeepsLocks(
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
