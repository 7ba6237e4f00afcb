/**
 * Immutable and append-only objects (chattr +i, +a). An object of a lower layer tells it by its flags. So does a file of the upper
 * layer, and there the host itself refuses. A directory of the upper layer gets a mark instead of the flags, as overlayfs does it
 * (fs/overlayfs/inode.c ovl_fileattr_set): its entries can still be copied up. It has flags if somebody set them in the layer.
 */
import { Attr, Errno } from "@sluice/vfs";
import type { MarkedDirectories } from "../marks/marked-layers.js";
import { readXattr, upkeep } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import type { Node } from "./node.js";
import { statNode } from "./open-node.js";

/** FS_IMMUTABLE_FL and FS_APPEND_FL; statx(2) has the same bits for both. */
const IMMUTABLE = 0x10;
export const APPEND_ONLY = 0x20;
export const PROTECTING = IMMUTABLE | APPEND_ONLY;
const LETTERS: Readonly<Record<string, number>> = { i: IMMUTABLE, a: APPEND_ONLY };
const value = Buffer.alloc(64);
const attr = new Attr();

/** The protection of an object with these attributes, as its layer gave them; 0 if its file system has no such flags. */
export function protectionIn({ attributes }: Attr): number {
  return attributes & PROTECTING;
}

export function protectionOf(core: MarkedDirectories, node: Node): number {
  if (node.isDirectory) return (node.top.protection ??= readProtection(core, node));
  return node.inUpper || !node.isRegular ? 0 : flagsOf(core, node);
}

function readProtection(core: MarkedDirectories, node: Node): number {
  return node.top.layer.isOurs ? flagsOf(core, node) | readProtectionMark(core, node) : flagsOf(core, node);
}

/** The flags that the mark of an upper directory tells. */
export function readProtectionMark(core: MarkedDirectories, node: Node): number {
  const fd = node.fd >= 0 ? node.fd : core.fds.of(node.top);
  const length = fd < 0 ? fd : readXattr(fd, "", core.marks.protattr, value);
  const mark = value.toString("latin1", 0, Math.max(0, length));
  return Object.entries(LETTERS).reduce((flags, [letter, flag]) => (mark.includes(letter) ? flags | flag : flags), 0);
}

function flagsOf(core: MarkedDirectories, node: Node): number {
  return statNode(core, node, attr) < 0 ? 0 : protectionIn(attr);
}

/** Marks a directory of the upper layer, by a descriptor of any kind. 0 or the negative errno. */
export function writeProtection(core: MarkedDirectories, dirFd: number, flags: number): number {
  const letters = Object.keys(LETTERS).filter((letter) => (flags & (LETTERS[letter] as number)) !== 0);
  if (letters.length > 0) return upkeep.setxattrat(dirFd, "", core.marks.protattr, Buffer.from(letters.join("")), 0);
  const status = upkeep.removexattrat(dirFd, "", core.marks.protattr);
  return status === -Errno.ENODATA || status === -Errno.EOPNOTSUPP ? 0 : status;
}

/** May names be added to a directory? 0 or EPERM. */
export function mayAdd(core: MarkedDirectories, parent: Node): number {
  return (protectionOf(core, parent) & IMMUTABLE) !== 0 ? Errno.EPERM : 0;
}

/** May a name be taken out of the directory, and away from its object? 0 or EPERM. */
export function mayTake(core: MarkedDirectories, parent: Node, node: Node): number {
  return protectionOf(core, parent) !== 0 || protectionOf(core, node) !== 0 ? Errno.EPERM : 0;
}

/** Gives a new copy of a directory the flags of the original. */
export function inheritProtection(core: MarkedDirectories, dir: RealDir, flags: number): void {
  if (flags === 0) return;
  const fd = core.fds.of(dir);
  if (fd >= 0 && writeProtection(core, fd, flags) === 0) dir.protection = flags;
}
