/** IOCTL: inode flags (lsattr, chattr) and their extended form (xfs_io, project ids). Nothing else is known. */
import { andThen, type CallContext, type DataOut, Errno, type IoctlArgs, type NodeId, O, type Status } from "@sluice/vfs";
import { copyUp } from "../copy-up/copy-up.js";
import type { IoContext } from "../io/io-context.js";
import { govern } from "../gate/govern.js";
import { GovernedOperation } from "../gate/governed-operation.js";
import { visibleNode } from "../gate/hidden.js";
import type { GovernedAccess } from "../gate/judged-accesses.js";
import { closeFd, effects, sys } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import type { Node } from "../node/node.js";
import { openObject } from "../node/open-node.js";
import { hasFileMark, PROTECTING, protectionOf, readProtectionMark, writeProtection } from "../node/protection.js";
import { metadataAccess } from "./metadata-access.js";

const GETFLAGS = 0x80086601;
const SETFLAGS = 0x40086602;
/** struct fsxattr: flags, extent size hint, extent count, project id. */
const FSGETXATTR = 0x801c581f;
const FSSETXATTR = 0x401c5820;
const FSXATTR_BYTES = 28;
/** The commands' numbers say long, but the kernel moves an unsigned int (fs/fuse/ioctl.c) and refuses a longer answer. */
const FLAGS_BYTES = 4;

export function ioctl(core: IoContext, call: CallContext, request: { id: NodeId; args: IoctlArgs }, out: DataOut): Status {
  const { id } = request;
  const { input } = request.args;
  switch (request.args.command >>> 0) {
    case GETFLAGS:
      return answer(core, id, out, FLAGS_BYTES);
    case FSGETXATTR:
      return answer(core, id, out, FSXATTR_BYTES);
    case SETFLAGS:
      return input.length < FLAGS_BYTES
        ? Errno.EINVAL
        : govern(core, new ChangingFlags(call, id, Buffer.from(input.subarray(0, FLAGS_BYTES))));
    case FSSETXATTR:
      return input.length < FSXATTR_BYTES
        ? Errno.EINVAL
        : govern(core, new ChangingFlags(call, id, Buffer.from(input.subarray(0, FSXATTR_BYTES))));
    default:
      return Errno.ENOTTY;
  }
}

function answer(core: IoContext, id: NodeId, out: DataOut, sizeBytes: number): number {
  const fd = openReal(core, id);
  if (fd < 0) return -fd;
  const bytes = out.reserve(sizeBytes);
  const flags = sizeBytes === FLAGS_BYTES ? sys.getFlags(fd) : sys.getFsxattr(fd, bytes);
  closeFd(fd);
  if (flags < 0) return -flags;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const node = core.nodes.get(id);
  const marked = node?.isDirectory === true ? protectionOf(core, node) : 0;
  if (marked < 0) return -marked;
  if (sizeBytes === FLAGS_BYTES) view.setUint32(0, flags | marked, true);
  else view.setUint32(0, view.getUint32(0, true) | (marked >> 1), true);
  out.length = bytes.length;
  return 0;
}

class ChangingFlags extends GovernedOperation<IoContext> {
  constructor(
    call: CallContext,
    private readonly id: NodeId,
    private readonly wanted: Buffer,
  ) {
    super(call);
  }

  protected accesses(core: IoContext): readonly GovernedAccess[] | number {
    return foldsCase(this.wanted) ? Errno.EOPNOTSUPP : metadataAccess(core, this.id);
  }

  override prepare(core: IoContext, permit: Permit): Status {
    const node = core.nodes.get(this.id);
    if (node === undefined) return Errno.ESTALE;
    const copied = copyUp(core, node, { permit, call: this.call, truncate: false, changesFlags: true });
    return andThen(copied, (status) => (status !== 0 ? status : writeBack(core, node, this.wanted)));
  }

  commit(core: IoContext, permit: Permit): number {
    return changeNow(core, permit, { id: this.id, wanted: this.wanted });
  }
}

/** FS_CASEFOLD_FL, which only exists among the plain flags. */
const CASEFOLD = 0x4000_0000;

/** In a directory that folds case a name has spellings that no rule was asked about, and that the layers below do not share. */
function foldsCase(wanted: Buffer): boolean {
  return wanted.length === FLAGS_BYTES && (wanted.readUInt32LE(0) & CASEFOLD) !== 0;
}

const IMMUTABLE = 0x10;
const XFLAG_IMMUTABLE = 0x8;

/**
 * Nobody can write to an immutable file, not even by an open from before, so dirty pages of mappings would be lost if they came
 * later. File systems write them back before they set the flag (fs/ext4/ioctl.c ext4_ioctl_setflags).
 */
function writeBack(core: IoContext, node: Node, wanted: Buffer): Status {
  const bit = wanted.length === FLAGS_BYTES ? IMMUTABLE : XFLAG_IMMUTABLE;
  if (!node.isRegular || (wanted.readUInt32LE(0) & bit) === 0) return 0;
  const ids = [node.id, ...(node.aliases ?? []).map((alias) => alias.id)];
  return Promise.all(ids.map((one) => core.port.dropPages(one))).then(() => 0);
}

function changeNow(core: IoContext, permit: Permit, { id, wanted }: { id: NodeId; wanted: Buffer }): number {
  const fd = openReal(core, id);
  if (fd < 0) return -fd;
  const status = changeFlags(core, permit, { id, fd, wanted });
  closeFd(fd);
  // The time of change moved, and the kernel does not ask for it again by itself.
  if (status >= 0) core.port.dropAttributes(id);
  return -status || 0;
}

/**
 * A directory has a mark instead of the flags that protect it, and a file loses the mark. The other flags come first: if the file system
 * refuses them, the object stays protected. So a file is without protection only until it has its new flags.
 */
function changeFlags(core: IoContext, permit: Permit, { id, fd, wanted }: { id: NodeId; fd: number; wanted: Buffer }): number {
  const node = core.nodes.get(id);
  const directory = node?.isDirectory === true ? node : undefined;
  const change = effects(permit);
  const write = (flags: Buffer): number =>
    flags.length === FLAGS_BYTES ? change.setFlags(fd, flags.readUInt32LE(0)) : change.setFsxattr(fd, flags);
  if (directory === undefined && !hasFileMark(core, fd)) return write(wanted);
  // Extended flags are half as large.
  const shift = wanted.length === FLAGS_BYTES ? 0 : 1;
  const flags = wanted.readUInt32LE(0);
  const others = Buffer.from(wanted);
  others.writeUInt32LE((flags & ~(PROTECTING >> shift)) >>> 0, 0);
  const written = write(others);
  if (written < 0) return written;
  if (directory === undefined) return Math.min(writeProtection(core, fd, 0), 0) || write(wanted);
  const protecting = (flags << shift) & PROTECTING;
  const status = protecting === readProtectionMark(core, directory) ? 0 : writeProtection(core, fd, protecting);
  if (status >= 0) directory.top.protection = protecting;
  return status;
}

function openReal(core: IoContext, id: NodeId): number {
  const node = visibleNode(core, id);
  return typeof node === "number" ? -node : openObject(core, node, O.RDONLY);
}
