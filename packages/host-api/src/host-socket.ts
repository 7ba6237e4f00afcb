/** The place of a host service, and the mount namespace of paths. */
import { statSync } from "node:fs";
import { dirname, join } from "node:path";

/** Of `sluice serve`, by default. */
export const HOST_SOCKET = "/run/sluice/host.sock";

/** The socket of ordinary users, beside that of root; itself, if `socket` is the one of users. */
export function usersSocketOf(socket: string): string {
  return join(dirname(socket), "users.sock");
}

/** The inode number of this process's mount namespace. */
export function ownMountNamespace(): number {
  return statSync("/proc/self/ns/mnt").ino;
}
