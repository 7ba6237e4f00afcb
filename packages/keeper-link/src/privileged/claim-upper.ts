/** Holds the upper layer and the work directory against a second mount: a lock that the kernel drops with the process. */
import { setTimeout as sleep } from "node:timers/promises";
import { LOCK, native, openRealDirectory, toBytes } from "@sluice/native";
import { Errno, errnoName, O } from "@sluice/vfs";
import type { OpenLayer } from "../keeper-link.js";
import { LayerError } from "./layer-error.js";

function claim({ path, rootFd }: OpenLayer, role: string): number {
  // Through the layer's own view: the mount that it was found on stays free to be unmounted.
  const fd = native.openat(rootFd, ".", O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  const status = fd < 0 ? fd : native.flock(fd, LOCK.EX | LOCK.NB);
  if (status >= 0) return fd;
  if (fd >= 0) native.close(fd);
  if (status === -Errno.EAGAIN) {
    throw new LayerError(path, `this ${role} is in use by another mount (EBUSY)`, "unmount that one first, or give another directory");
  }
  throw new LayerError(path, `this ${role} cannot be locked (${errnoName(-status)})`, "put it on a file system with flock(2)");
}

/** Returns how to let go. Throws LayerError where another mount has one of them. */
export function claimUpper(upper: OpenLayer | undefined, work: OpenLayer | undefined): () => void {
  if (upper === undefined || work === undefined) return () => undefined;
  const upperFd = claim(upper, "upper layer");
  let workFd: number;
  try {
    workFd = claim(work, "work directory");
  } catch (error) {
    native.close(upperFd);
    throw error;
  }
  return () => {
    native.close(upperFd);
    native.close(workFd);
  };
}

/** umount(2) returns before the server has noticed: so long the next mount waits for the last one to let go. */
const LETTING_GO_MS = 2_000;
const POLL_MS = 10;

/**
 * Whether a mount has it, given by its real path, as its upper layer or work directory. Asked by a shared lock, which is no obstacle to
 * others who ask.
 */
export function isClaimed(path: string): boolean {
  const fd = openRealDirectory(toBytes(path), O.RDONLY);
  if (fd < 0) return false;
  const status = native.flock(fd, LOCK.SH | LOCK.NB);
  native.close(fd);
  return status === -Errno.EAGAIN;
}

/** Resolves when neither directory is held, or when whoever holds one has had its time. `claimUpper` says which it is. */
export async function untilLetGo(upper: string | undefined, work: string | undefined): Promise<void> {
  const claimed = (): boolean => [upper, work].some((path) => path !== undefined && isClaimed(path));
  for (const untilMs = Date.now() + LETTING_GO_MS; claimed() && Date.now() < untilMs; ) await sleep(POLL_MS);
}
