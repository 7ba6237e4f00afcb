/** Whiteouts in the kernel's forms: a character device 0/0, or an empty file with the overlay.whiteout attribute. */
import { type Attr, type ByteName, S } from "@sluice/vfs";
import { readXattr, upkeep } from "../layer/system-calls.js";
import type { MarkNames } from "./names.js";

export function isWhiteout(attr: Attr): boolean {
  return (attr.mode & S.IFMT) === S.IFCHR && attr.rdev === 0;
}

const none = Buffer.alloc(0);

/**
 * Costs a system call for an empty file. A lookup asks in every directory, a listing only in those of lower layers that are
 * marked for it (opaque = "x"), as overlayfs does.
 */
export function isXattrWhiteout(names: MarkNames, at: { dirFd: number; name: ByteName }, attr: Attr): boolean {
  if ((attr.mode & S.IFMT) !== S.IFREG || attr.size !== 0) return false;
  return readXattr(at.dirFd, at.name, names.whiteout, none) >= 0;
}

/** In either form: a name of which nothing is to be seen, and which a new object may take. */
export function isAnyWhiteout(names: MarkNames, at: { dirFd: number; name: ByteName }, attr: Attr): boolean {
  return isWhiteout(attr) || isXattrWhiteout(names, at, attr);
}

/** Makes a whiteout under a name that does not exist. Needs no capability (kernel 5.8 and later). */
export function makeWhiteout(dirFd: number, name: ByteName): number {
  return upkeep.mknodat(dirFd, name, S.IFCHR, 0, 0);
}
