/**
 * The mark of a metadata-only copy: a regular file whose owner, mode, times and attributes are its own, while its data is
 * still in a layer below, under the same name or where its redirect leads.
 */
import { type ByteName, Errno } from "@sluice/vfs";
import { readXattr, upkeep } from "../layer/system-calls.js";
import type { MarkNames } from "./names.js";

const value = Buffer.alloc(128);
const none = Buffer.alloc(0);
/** Version, length, flags and digest algorithm; without any, nothing is said of the data (struct ovl_metacopy). */
const LEAST = 4;

/** 1 for a metadata-only copy, 0 for a file, or a negative errno (EIO: the mark is cut off). Costs a system call. */
export function isMetacopy(names: MarkNames, dirFd: number, name: ByteName): number {
  return isMetacopyBy(readXattr(dirFd, name, names.metacopy, value));
}

/** The same by the length of the mark, or the negative errno for it. */
export function isMetacopyBy(length: number): number {
  if (length >= 0) return length === 0 || length >= LEAST ? 1 : -Errno.EIO;
  // Longer than any that is written: overlayfs looks at the length alone, too (fs/overlayfs/util.c ovl_check_metacopy_xattr).
  if (length === -Errno.ERANGE) return 1;
  // In user.*, a file that may not be read shows no attribute.
  return length === -Errno.ENODATA || length === -Errno.EOPNOTSUPP || length === -Errno.EACCES ? 0 : length;
}

export function writeMetacopy(names: MarkNames, fd: number): number {
  return upkeep.setxattrat(fd, "", names.metacopy, none, 0);
}

/** The file's data is its own now. */
export function clearMetacopy(names: MarkNames, fd: number): number {
  const status = upkeep.removexattrat(fd, "", names.metacopy);
  return status === -Errno.ENODATA ? 0 : status;
}
