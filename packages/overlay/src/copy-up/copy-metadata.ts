/** Owner, extended attributes (ACLs and capabilities among them), mode and times, in the order in which none undoes another. */
import { AT, type Attr, Errno } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import { readXattr, sys, upkeep } from "../layer/system-calls.js";
import { isMark } from "../marks/names.js";

/** FS_SYNC_FL and FS_NOATIME_FL. */
const COPIED_FLAGS = 0x8 | 0x80;
const list = Buffer.alloc(65_536);
const value = Buffer.alloc(65_536);

export interface MetadataCopy {
  /** Descriptors (O_PATH will do) of the original and the copy. */
  source: number;
  target: number;
  /** The original's. */
  attr: Attr;
}

/** 0 or a positive errno. */
export function copyMetadata(core: CopyUpContext, copy: MetadataCopy): number {
  const { target, attr } = copy;
  const status = upkeep.fchownat(target, "", attr.uid, attr.gid, AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW);
  if (status < 0) return -status;
  const copied = copyXattrs(core, copy);
  if (copied !== 0) return copied;
  return -upkeep.setModeAndTimes(target, attr.words) || 0;
}

/**
 * Gives the copy of a file or directory what overlayfs gives it of the original's flags (chattr +S, +A), where both file systems
 * have them (fs/overlayfs/copy_up.c ovl_copy_fileattr). Both descriptors are open for reading.
 */
export function copyFlags(source: number, target: number): void {
  const flags = sys.getFlags(source);
  const copied = flags < 0 ? 0 : flags & COPIED_FLAGS;
  if (copied !== 0) addFlags(target, copied);
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
