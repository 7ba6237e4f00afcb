/**
 * The port to the host: the one place that speaks to the addon. Every system call below the overlay goes through it.
 *
 * The overlay reaches each object below a layer's root by single names, relative to a descriptor of their directory, and
 * follows no link. So nothing leads out of the layer, into another mount, or past PATH_MAX.
 */
import { native } from "@sluice/native";
import { AT, type Attr, O, RESOLVE } from "@sluice/vfs";
import type { Permit } from "./permit.js";

export { SEAL } from "@sluice/native";

/** System calls that change an object of a layer. `makeFile` opens a file to make it. */
type Changing =
  | "unlinkat"
  | "renameat2"
  | "mkdirat"
  | "mknodat"
  | "symlinkat"
  | "linkat"
  | "setxattrat"
  | "removexattrat"
  | "fchownat"
  | "fchmodat"
  | "utimensat"
  | "ftruncate"
  | "fallocateAsync"
  | "pwrite"
  | "pwriteAsync"
  | "copyFileRangeAsync"
  | "ficlone"
  | "setFlags"
  | "setFsxattr";

/** The system calls that change no layer. */
export const sys: Omit<typeof native, Changing> = native;
/** The system calls that change a layer. */
const changing: Pick<typeof native, Changing> = native;

/** The system calls that change a layer, for the holder of a permit. */
export function effects(_permit: Permit): Pick<typeof native, Changing> {
  return changing;
}

/**
 * Changes that no caller sees in the merged tree: copies in the scratch directory and their publication, marks, the index
 * of hard links, and the completion of requests that an earlier process began. `npm run check` lists the folders that use it.
 */
export const upkeep = changing;
/** The same for whole trees that an earlier mount left in the scratch directory and the index. */
export { emptyDirectory, removeTree } from "@sluice/native";

const NAME_RESOLVE = RESOLVE.BENEATH | RESOLVE.NO_MAGICLINKS | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV;

/** Opens one name in a directory. The kernel follows no link and enters no other mount, whatever somebody plants there meanwhile. */
export function openName(dirFd: number, name: string, flags: number, mode: number): number {
  return sys.openat2(dirFd, name, flags | O.NOFOLLOW | O.CLOEXEC, mode, NAME_RESOLVE);
}

/** Makes a file (O_CREAT) as `openName` opens one. Gives a descriptor, or the negative errno. */
export function makeFile(_permit: Permit, at: { dirFd: number; name: string }, flags: number, mode: number): number {
  return sys.openat2(at.dirFd, at.name, flags | O.CREAT | O.NOFOLLOW | O.CLOEXEC, mode, NAME_RESOLVE);
}

/** Makes a file without a name in a directory (O_TMPFILE). Gives a descriptor, or the negative errno. */
export function makeNamelessFile(_permit: Permit, dirFd: number, flags: number, mode: number): number {
  return sys.openat(dirFd, ".", flags | O.TMPFILE | O.CLOEXEC, mode);
}

/** statx of one name, without following a link. Gives 0 or the negative errno. */
export function statName(dirFd: number, name: string, attr: Attr): number {
  return sys.statx(dirFd, name, AT.SYMLINK_NOFOLLOW, attr.words);
}

/** statx of the object of a descriptor. */
export function statFd(fd: number, attr: Attr): number {
  return sys.statx(fd, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW, attr.words);
}
