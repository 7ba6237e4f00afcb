/**
 * Immutable and append-only objects (chattr +i, +a). An object of a lower layer tells it by its flags. So does a file of the upper
 * layer, and there the host itself refuses. A directory of the upper layer gets a mark instead of the flags, as overlayfs does it
 * (fs/overlayfs/inode.c ovl_fileattr_set): its entries can still be copied up. It has flags if somebody set them in the layer.
 * Kernel overlayfs gives files the mark, too. A file with the mark gets the flags beside it when it is found.
 */
import { Attr, type ByteName, Errno, O } from "@sluice/vfs";
import type { MarkedDirectories, MarkedLayers } from "../marks/marked-layers.js";
import type { DirectoryAccess } from "../layer/layer-stack.js";
import { closeFd, openName, readXattr, sys, upkeep } from "../layer/system-calls.js";
import type { Node } from "./node.js";
import { openClosed, statNode } from "./open-node.js";

/** FS_IMMUTABLE_FL and FS_APPEND_FL; statx(2) has the same bits for both. */
const IMMUTABLE = 0x10;
export const APPEND_ONLY = 0x20;
export const PROTECTING = IMMUTABLE | APPEND_ONLY;
const LETTERS: Readonly<Record<string, number>> = { i: IMMUTABLE, a: APPEND_ONLY };
const value = Buffer.alloc(64);
const attr = new Attr();

/** The protection of an object with these attributes, as statx(2) tells it; 0 if its file system has no such flags. */
function protectionIn({ attributes }: Attr): number {
  return attributes & PROTECTING;
}

/**
 * The protection of a node's object, which has these attributes. The file system must tell it as a flag, too: erofs tells statx(2) that every
 * file is immutable, since its images are, and an overlay of such layers repeats that. Kernel overlayfs goes by the inode's flags.
 */
export function protectionFor(core: DirectoryAccess, node: Node, attr: Attr): number {
  const told = protectionIn(attr);
  if (told === 0) return 0;
  const fd = openClosed(core, node);
  if (fd < 0) return told;
  const flags = sys.getFlags(fd);
  closeFd(fd);
  if (flags >= 0) return told & flags;
  return flags === -Errno.ENOTTY || flags === -Errno.EOPNOTSUPP || flags === -Errno.EINVAL ? 0 : told;
}

/** A negative errno if it cannot be read: until it can, nothing is added to a directory, or taken out of it. */
export function protectionOf(core: MarkedDirectories, node: Node): number {
  if (node.isDirectory) return node.top.protection ?? readProtection(core, node);
  return node.inUpper || !node.isRegular ? 0 : flagsOf(core, node);
}

function readProtection(core: MarkedDirectories, node: Node): number {
  const { top } = node;
  const flags = flagsOf(core, node);
  const mark = top.layer.isOurs ? readProtectionMark(core, node) : 0;
  if (flags < 0 || mark < 0) return Math.min(flags, mark);
  top.protection = flags | mark;
  return top.protection;
}

/** The flags that the mark of an upper directory tells, or a negative errno. */
export function readProtectionMark(core: MarkedDirectories, node: Node): number {
  const fd = node.fd >= 0 ? node.fd : core.fds.of(node.top);
  const length = fd < 0 ? fd : readXattr(fd, "", core.marks.protattr, value);
  if (length < 0) return isAbsent(length) ? 0 : length;
  return flagsInMark(length);
}

/** Of the mark in `value`. */
function flagsInMark(length: number): number {
  const mark = value.toString("latin1", 0, length);
  return Object.entries(LETTERS).reduce((flags, [letter, flag]) => (mark.includes(letter) ? flags | flag : flags), 0);
}

/** In user.*, a directory that may not be read shows no attribute. */
function isAbsent(status: number): boolean {
  return status === -Errno.ENODATA || status === -Errno.EOPNOTSUPP || status === -Errno.EACCES || isGone(status);
}

/** Somebody took the object out of its layer: whoever uses it finds that out. */
function isGone(status: number): boolean {
  return status === -Errno.ENOENT || status === -Errno.ESTALE || status === -Errno.ENOTDIR;
}

/** Or a negative errno. */
function flagsOf(core: MarkedDirectories, node: Node): number {
  const status = statNode(core, node, attr);
  if (status < 0) return isGone(status) || status === -Errno.EACCES ? 0 : status;
  return protectionFor(core, node, attr);
}

/** Marks a directory of the upper layer, by a descriptor of any kind. 0 or the negative errno. */
export function writeProtection(core: MarkedDirectories, dirFd: number, flags: number): number {
  const letters = Object.keys(LETTERS).filter((letter) => (flags & (LETTERS[letter] as number)) !== 0);
  if (letters.length > 0) return upkeep.setxattrat(dirFd, "", core.marks.protattr, Buffer.from(letters.join("")), 0);
  const status = upkeep.removexattrat(dirFd, "", core.marks.protattr);
  return status === -Errno.ENODATA || status === -Errno.EOPNOTSUPP ? 0 : status;
}

/**
 * Gives a file of the upper layer, found at (`dirFd`, `name`), the flags that its mark tells, so that the host refuses changes of it. The
 * mark stays until somebody takes the flags away: an immutable file has all its attributes for good.
 */
export function adoptProtection(core: MarkedLayers, { dirFd, name }: { dirFd: number; name: ByteName }, found: Attr): void {
  const length = dirFd < 0 ? dirFd : readXattr(dirFd, name, core.marks.protattr, value);
  const missing = length <= 0 ? 0 : flagsInMark(length) & ~protectionIn(found);
  if (missing === 0) return;
  const fd = openName(dirFd, name, O.RDONLY | O.NONBLOCK | O.NOCTTY, 0);
  const own = fd < 0 ? fd : sys.getFlags(fd);
  const status = own < 0 ? own : upkeep.setFlags(fd, own | missing);
  if (fd >= 0) closeFd(fd);
  if (status < 0) core.events.anomaly("a protected file could not get its flags", { name, errno: -status });
}

/** Does a file have the mark? It has to go before the flags change, since it would bring them back. */
export function hasFileMark(core: MarkedDirectories, fd: number): boolean {
  return readXattr(fd, "", core.marks.protattr, value) >= 0;
}

/** 0 if the node is protected by none of these flags, else a positive errno: EPERM, or that of the layer. */
export function unlessProtected(core: MarkedDirectories, node: Node, by: number): number {
  const protection = protectionOf(core, node);
  if (protection < 0) return -protection;
  return (protection & by) === 0 ? 0 : Errno.EPERM;
}

/** May names be added to a directory? 0 or a positive errno. */
export function mayAdd(core: MarkedDirectories, parent: Node): number {
  return unlessProtected(core, parent, IMMUTABLE);
}

/** May a name be taken out of the directory, and away from its object? 0 or a positive errno. */
export function mayTake(core: MarkedDirectories, parent: Node, node: Node): number {
  return unlessProtected(core, parent, PROTECTING) || unlessProtected(core, node, PROTECTING);
}

/**
 * Gives a new copy of a directory the flags of the original, before it is in place. A file system without attributes loses them, as in
 * overlayfs (fs/overlayfs/copy_up.c ovl_copy_fileattr). 0 or a positive errno.
 */
export function inheritProtection(core: MarkedDirectories, dirFd: number, flags: number): number {
  const status = flags === 0 ? 0 : writeProtection(core, dirFd, flags);
  return status === -Errno.EOPNOTSUPP ? 0 : -status || 0;
}
