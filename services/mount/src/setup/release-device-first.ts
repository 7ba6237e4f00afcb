/** The order in which the kernel closes libfuse's descriptors if this process is killed. */
import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs";
import { native } from "@sluice/native";

function objectOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

/** The descriptors of this process; for each one a path, or the kind and number of its object. */
function descriptors(): Map<number, string | undefined> {
  return new Map(readdirSync("/proc/self/fd").map((name) => [Number(name), objectOf(Number(name))]));
}

/**
 * Mounts by libfuse with auto_unmount, so that the mount of a killed process goes. The command fusermount waits for the end of a socket,
 * opens the mount point, and unmounts if that is ENOTCONN. If the device is still open then, it is ECONNABORTED a little later, and
 * fusermount gives up for good. A process that ends releases its highest descriptor first (kernel/task_work.c), and libfuse has the socket
 * above the device: so the socket is moved below it. It closes by exec then, too, and no child of this process keeps it.
 */
export function releasingDeviceFirst(mount: () => void): void {
  const before = descriptors();
  const below = openSync("/dev/null", "r");
  try {
    mount();
  } finally {
    closeSync(below);
  }
  const made = [...descriptors()].filter(([fd, object]) => before.get(fd) !== object);
  const device = made.find(([, object]) => object === "/dev/fuse")?.[0];
  const socket = made.find(([, object]) => object?.startsWith("socket:"))?.[0];
  if (device === undefined || socket === undefined) return;
  const moved = native.dupfd(socket);
  if (moved >= 0) native.close(moved < device ? socket : moved);
}
