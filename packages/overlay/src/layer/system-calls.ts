/**
 * The port to the host: the one place that speaks to the addon. Every system call below the overlay goes through it.
 *
 * The overlay reaches each object below a layer's root by single names, relative to a descriptor of their directory, and
 * follows no link. So nothing leads out of the layer, into another mount, or past PATH_MAX.
 */
import { native } from "@sluice/native";
import { AT, type Attr, Errno, O, RESOLVE, SEEK } from "@sluice/vfs";
import { showAcl, showGroup } from "./foreign-ids.js";
import { onOwn, readOwn, searchOwn } from "./owner-access.js";
import type { Permit } from "./permit.js";
import { areScarce, opened } from "./spare-descriptors.js";

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
  | "makeCopy"
  | "copyAttributes"
  | "copyFlags"
  | "copyOrigin"
  | "setModeAndTimes"
  | "moveKeepingTimes"
  | "ftruncate"
  | "ftruncateAsync"
  | "fallocateAsync"
  | "pwrite"
  | "pwriteAsync"
  | "copyFileRangeAsync"
  | "copyBytes"
  | "ficlone"
  | "ficloneAsync"
  | "setFlags"
  | "setFsxattr";

/** An object of the overlay's own, so that a test can make a call fail here alone: see testing/with-fault.ts. */
const port: typeof native = { ...native };

/** The system calls that change no layer. */
export const sys: Omit<typeof native, Changing> = port;
/** The system calls that change a layer. */
const changing: Pick<typeof native, Changing> = port;

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
export { emptyDirectory, forgetOpened, noteOpened, removeTree, restoreOpened } from "@sluice/native";

const NAME_RESOLVE = RESOLVE.BENEATH | RESOLVE.NO_MAGICLINKS | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV;

const probe = (): number => sys.openat(AT.FDCWD, "/", O.PATH | O.CLOEXEC, 0);

/** Opens for a caller, unless that would take a descriptor that the process needs itself. */
function openAt(dirFd: number, name: string, flags: number, mode: number): number {
  return areScarce(probe, closeFd) ? -Errno.EMFILE : opened(sys.openat(dirFd, name, flags | O.CLOEXEC, mode));
}

/** The same for a name in a layer. */
function openBelow(dirFd: number, name: string, flags: number, mode: number): number {
  if (areScarce(probe, closeFd)) return -Errno.EMFILE;
  return opened(sys.openat2(dirFd, name, flags | O.NOFOLLOW | O.CLOEXEC, mode, NAME_RESOLVE));
}

/** Opens one name in a directory. The kernel follows no link and enters no other mount, whatever somebody plants there meanwhile. */
export function openName(dirFd: number, name: string, flags: number, mode: number): number {
  const fd = openBelow(dirFd, name, flags, mode);
  return fd === -Errno.EACCES && (flags & O.CREAT) === 0 ? openOnOwn(dirFd, name, flags) : fd;
}

/** A file that is not open to the user stays closed: only the way to it is found. */
function openOnOwn(dirFd: number, name: string, flags: number): number {
  return onOwn(dirFd, name, (fd) => reopen(fd, flags));
}

/** Opens a directory by its name for look-ups in it. Gives an O_PATH descriptor, or the negative errno. */
export function openPathOf(dirFd: number, name: string): number {
  const fd = openAt(dirFd, name, O.PATH | O.DIRECTORY | O.NOFOLLOW, 0);
  return fd === -Errno.EACCES ? searchOwn(dirFd, name) : fd;
}

/** Makes a file (O_CREAT) as `openName` opens one. Gives a descriptor, or the negative errno. */
export function makeFile(_permit: Permit, at: { dirFd: number; name: string }, flags: number, mode: number): number {
  return openBelow(at.dirFd, at.name, flags | O.CREAT, mode);
}

/** Makes a file without a name in a directory (O_TMPFILE). Gives a descriptor, or the negative errno. */
export function makeNamelessFile(_permit: Permit, dirFd: number, flags: number, mode: number): number {
  return openAt(dirFd, ".", flags | O.TMPFILE, mode);
}

/** Opens a directory again by a descriptor of any kind, O_PATH included. Gives a descriptor, or the negative errno. */
export function openDirectory(dirFd: number, flags: number = O.RDONLY): number {
  const fd = openAt(dirFd, ".", flags | O.DIRECTORY, 0);
  // The look-up of "." needs the right to search, which an owner may lack who may read the directory (mode 0644).
  const again = fd === -Errno.EACCES ? reopen(dirFd, flags | O.DIRECTORY) : fd;
  return again === -Errno.EACCES && (flags & (O.ACCMODE | O.PATH)) === 0 ? readOwn(dirFd) : again;
}

/**
 * Opens the object of a descriptor again, whether it has a name or not. The kernel follows the link in /proc to that very object
 * and no further, even if the object is a link itself. Gives a descriptor, or the negative errno.
 */
export function reopen(fd: number, flags: number): number {
  return openAt(AT.FDCWD, `/proc/self/fd/${fd}`, flags & ~O.NOFOLLOW, 0);
}

export function closeFd(fd: number): void {
  sys.close(fd);
}

/** Reads an extended attribute of (descriptor, name); "" stands for the descriptor's own object. Gives its length, or the negative errno. */
export function readXattr(fd: number, name: string, attribute: string, into: Buffer): number {
  let length = sys.getxattrat(fd, name, attribute, into);
  if (length === -Errno.EACCES) length = onOwn(fd, name, (own) => sys.getxattrat(own, "", attribute, into));
  return length <= 0 ? length : showAcl(attribute, into, length);
}

/** Reads a file from its start, `maxBytes` at most. Undefined if that fails. */
export function readWhole(fd: number, maxBytes: number): Buffer | undefined {
  const sizeBytes = Number(sys.lseek(fd, 0, SEEK.END));
  const bytes = Buffer.alloc(Math.min(Math.max(0, sizeBytes), maxBytes));
  const length = sys.pread(fd, bytes, { offset: 0, length: bytes.length, position: 0 }, 0);
  return length === bytes.length ? bytes : undefined;
}

/** statx of one name, without following a link. Gives 0 or the negative errno. */
export function statName(dirFd: number, name: string, attr: Attr): number {
  let status = sys.statx(dirFd, name, AT.SYMLINK_NOFOLLOW, attr.words);
  if (status === -Errno.EACCES) status = statOnOwn(dirFd, name, attr);
  showGroup(attr);
  return status;
}

function statOnOwn(dirFd: number, name: string, attr: Attr): number {
  return onOwn(dirFd, name, (own) => sys.statx(own, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW, attr.words));
}

/** Names of extended attributes, as `readXattr` reads one. Gives their length, or the negative errno. */
export function listXattrs(fd: number, name: string, into: Buffer): number {
  const length = sys.listxattrat(fd, name, into);
  return length === -Errno.EACCES ? onOwn(fd, name, (own) => sys.listxattrat(own, "", into)) : length;
}

/** The target of a symbolic link. Gives its length, or the negative errno. */
export function readLink(dirFd: number, name: string, into: Uint8Array): number {
  const length = sys.readlinkat(dirFd, name, into);
  return length === -Errno.EACCES ? onOwn(dirFd, name, (own) => sys.readlinkat(own, "", into)) : length;
}

/** The extended attributes that a look-up asks a regular file for. */
export interface AskedAttributes {
  /** See `Attr.attributeLength`. */
  readonly attribute: string;
  /** The result is 1 if the file has it; "" for none. */
  readonly mark: string;
}

/** As `statName`, and also asks a regular file for extended attributes. */
export function statNameWith(dirFd: number, name: string, attr: Attr, { attribute, mark }: AskedAttributes): number {
  let status = sys.statWithAttribute(dirFd, name, attr.words, attribute, mark);
  if (status === -Errno.EACCES) status = statOnOwnWith(dirFd, name, attr, { attribute, mark });
  showGroup(attr);
  return status;
}

const asked = Buffer.alloc(128);

function statOnOwnWith(dirFd: number, name: string, attr: Attr, { attribute, mark }: AskedAttributes): number {
  return onOwn(dirFd, name, (own) => {
    const status = sys.statx(own, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW, attr.words);
    attr.attributeLength = sys.getxattrat(own, "", attribute, asked);
    return status === 0 && mark !== "" && sys.getxattrat(own, "", mark, asked) >= 0 ? 1 : status;
  });
}

/** statx of the object of a descriptor. */
export function statFd(fd: number, attr: Attr): number {
  const status = sys.statx(fd, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW, attr.words);
  showGroup(attr);
  return status;
}
