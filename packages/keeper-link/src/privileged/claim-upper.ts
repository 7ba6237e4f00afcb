/** Locks the upper layer and the work directory against a second mount. The kernel drops the lock with the process. */
import { setTimeout as sleep } from "node:timers/promises";
import { LOCK, native, openRealDirectory, toBytes } from "@sluice/native";
import { Errno, errnoName, O } from "@sluice/vfs";
import type { OpenLayer } from "../keeper-link.js";
import type { PlanCaller } from "../mount-plan.js";
import { asCaller } from "./as-caller.js";
import { LayerError } from "./layer-error.js";

type Opening = (open: () => number) => number;

function claim({ path, rootFd }: OpenLayer, role: string, withRights: Opening): number {
  // Through the layer's private clone: the mount that it was found on can still be unmounted.
  const fd = withRights(() => native.openat(rootFd, ".", O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0));
  const status = fd < 0 ? fd : native.flock(fd, LOCK.EX | LOCK.NB);
  if (status >= 0) return fd;
  if (fd >= 0) native.close(fd);
  if (status === -Errno.EAGAIN) {
    throw new LayerError(path, `this ${role} is in use by another mount (EBUSY)`, "unmount that one first, or give another directory");
  }
  throw new LayerError(path, `this ${role} cannot be locked (${errnoName(-status)})`, "put it on a file system with flock(2)");
}

/**
 * @param withRights opens a directory; by default with those of this process
 * @returns a function that releases them. @throws LayerError if another mount has one of them
 */
export function claimUpper(upper: OpenLayer | undefined, work: OpenLayer | undefined, withRights: Opening = (open) => open()): () => void {
  if (upper === undefined || work === undefined) return () => undefined;
  const upperFd = claim(upper, "upper layer", withRights);
  let workFd: number;
  try {
    workFd = claim(work, "work directory", withRights);
  } catch (error) {
    native.close(upperFd);
    throw error;
  }
  return () => {
    native.close(upperFd);
    native.close(workFd);
  };
}

/** umount(2) returns before the server notices. The next mount waits this long for the last one to release the layers. */
const LETTING_GO_MS = 5_000;
const POLL_MS = 10;

/**
 * Whether a mount has the directory as its upper layer or work directory. `path` is a real path. The check takes a shared lock, which does
 * not hinder other checks.
 */
export function isClaimed(path: string): boolean {
  return isLocked(openRealDirectory(toBytes(path), O.RDONLY));
}

/** The same of a directory that is open, with O_PATH or for reading. */
export function isClaimedDirectory(fd: number): boolean {
  return isLocked(native.openat(fd, ".", O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0));
}

function isLocked(fd: number): boolean {
  if (fd < 0) return false;
  const status = native.flock(fd, LOCK.SH | LOCK.NB);
  native.close(fd);
  return status === -Errno.EAGAIN;
}

async function untilUnclaimed(claimed: () => boolean): Promise<void> {
  for (const untilMs = Date.now() + LETTING_GO_MS; claimed() && Date.now() < untilMs; ) await sleep(POLL_MS);
}

/** Resolves when neither directory is locked, or after a time limit. `claimUpper` then tells which. */
export function untilLetGo(upper: string | undefined, work: string | undefined): Promise<void> {
  return untilUnclaimed(() => [upper, work].some((path) => path !== undefined && isClaimed(path)));
}

/** The same of the directories that a user handed over, with the user's rights. */
export function untilLetGoForCaller(caller: PlanCaller): Promise<void> {
  const { upper, work } = caller.places;
  const isTaken = (fd: number): boolean => asCaller(caller, () => Number(isClaimedDirectory(fd))) > 0;
  return untilUnclaimed(() => [upper, work].some(isTaken));
}
