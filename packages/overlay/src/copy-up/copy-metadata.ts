/** Owner, extended attributes (ACLs and capabilities among them), mode and times, in the order in which none undoes another. */
import { type Attr, Errno, S } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import { readXattr, sys, upkeep } from "../layer/system-calls.js";
import { isMark } from "../marks/names.js";

/** The answer of `copyAttributes` if the original has extended attributes. */
const HAS_XATTRS = 1;
const list = Buffer.alloc(65_536);
const value = Buffer.alloc(65_536);

export interface MetadataCopy {
  /** Descriptors (O_PATH will do) of the original and the copy. */
  source: number;
  target: number;
  /** The original's. */
  attr: Attr;
}

/**
 * Of a regular file the flags, too, that overlayfs copies (chattr +S, +A; fs/overlayfs/copy_up.c ovl_copy_fileattr). 0 or a positive
 * errno.
 */
export function copyMetadata(core: CopyUpContext, copy: MetadataCopy): number {
  const { source, target, attr } = copy;
  const status = upkeep.copyAttributes(target, source, attr.words);
  if (status !== HAS_XATTRS) return -status || 0;
  const copied = copyXattrs(core, copy) || -upkeep.setModeAndTimes(target, attr.words) || 0;
  if (copied === 0 && (attr.mode & S.IFMT) === S.IFREG) upkeep.copyFlags(target, source);
  return copied;
}

/**
 * Gives a file flags that protect it. They would keep it from its place in the upper layer, so it gets them there, and it is tried before
 * whether it can have them. 0 or a positive errno; 0, too, if the file system has no flags, or the process may not set them.
 */
export function tryFlags(fd: number, flags: number): number {
  const own = sys.getFlags(fd);
  const status = own < 0 ? own : upkeep.setFlags(fd, own | flags);
  if (status >= 0) return -upkeep.setFlags(fd, own) || 0;
  const impossible = status === -Errno.EPERM || status === -Errno.ENOTTY || status === -Errno.EOPNOTSUPP || status === -Errno.EINVAL;
  return impossible ? 0 : -status;
}

export function addFlags(fd: number, flags: number): void {
  const own = sys.getFlags(fd);
  if (own >= 0) upkeep.setFlags(fd, own | flags);
}

/** All but our own marks. An attribute that the upper file system cannot hold is lost, unless it is about security. */
function copyXattrs(core: CopyUpContext, copy: MetadataCopy): number {
  const length = sys.listxattrat(copy.source, "", list);
  if (length < 0) return length === -Errno.EOPNOTSUPP ? 0 : -length;
  // Marks belong to one layer. An attribute under an escaped name is the caller's own.
  for (const name of list.toString("latin1", 0, length).split("\0")) {
    if (name === "" || isMark(core.marks, name)) continue;
    const status = copyXattr(copy, name);
    if (status !== 0) return status;
  }
  return 0;
}

function copyXattr(copy: MetadataCopy, name: string): number {
  const length = readXattr(copy.source, "", name, value);
  if (length < 0) return length === -Errno.ENODATA ? 0 : -length;
  const status = upkeep.setxattrat(copy.target, "", name, value.subarray(0, length), 0);
  if (status === -Errno.EOPNOTSUPP && !name.startsWith("security.") && !name.startsWith("system.")) return 0;
  return status < 0 ? -status : 0;
}
