/** Holds the upper layer and the work directory against a second mount: a lock that the kernel drops with the process. */
import { LOCK, native } from "@sluice/native";
import { AT, Errno, errnoName, O } from "@sluice/vfs";
import { unfit } from "../complaint.js";
import { toBytes } from "../path-bytes.js";

function claim(path: string, role: string): number {
  const fd = native.openat(AT.FDCWD, toBytes(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  const status = fd < 0 ? fd : native.flock(fd, LOCK.EX | LOCK.NB);
  if (status >= 0) return fd;
  if (fd >= 0) native.close(fd);
  if (status === -Errno.EAGAIN) {
    throw unfit(path, `this ${role} is in use by another mount (EBUSY)`, "unmount that one first, or give another directory");
  }
  throw unfit(path, `this ${role} cannot be locked (${errnoName(-status)})`, "put it on a file system with flock(2)");
}

/** Returns how to let go. Throws CliError, exit code 4, where another mount has one of them. */
export function claimUpper(upper: string | undefined, work: string | undefined): () => void {
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
