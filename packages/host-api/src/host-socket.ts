/** The place of a host service, and the mount namespace of paths. */
import { statSync } from "node:fs";

/** Of `sluice serve`, by default. */
export const HOST_SOCKET = "/run/sluice/host.sock";

/** The inode number of this process's mount namespace. */
export function ownMountNamespace(): number {
  return statSync("/proc/self/ns/mnt").ino;
}
