/** STATFS, SYNCFS and IOCTL. */
import { type CallContext, type DataOut, Errno, type IoctlArgs, type NodeId, O, type StatfsOut, type Status } from "@sluice/vfs";
import { copyUp } from "../copy-up/copy-up.js";
import type { Core } from "../core.js";
import { authorizeThen, governsAny } from "../gate/authorize.js";
import { sys } from "../layer/host-layer.js";
import { openNode } from "../node/open-node.js";
import { intentOn } from "./remove.js";

const numbers = new Float64Array(12);

/** Of the upper layer; of the topmost lower on a read-only mount. */
export function statfs(core: Core, out: StatfsOut): number {
  const layer = core.layers[0];
  if (layer === undefined) return Errno.EIO;
  const status = sys.fstatfs(layer.root.fd, numbers);
  if (status < 0) return -status;
  const [, bsize, blocks, bfree, bavail, files, ffree, , , namelen, frsize] = numbers as unknown as number[];
  Object.assign(out, { bsize, blocks, bfree, bavail, files, ffree, namelen, frsize });
  return 0;
}

export function syncfs(core: Core): Status {
  if (core.upper === undefined || core.config.volatile) return 0;
  const fd = core.upper.mountFd;
  return fd < 0 ? -fd : sys.syncfsAsync(fd).then((status) => -status || 0);
}

const GETFLAGS = 0x80086601;
const SETFLAGS = 0x40086602;
/** What the kernel asks before it sets any flag. Setting by the same structure (FSSETXATTR) is not offered. */
const FSGETXATTR = 0x801c581f;
const FSXATTR_BYTES = 28;
/** FS_..._FL as the old interface has it, FS_XFLAG_... as the new one: the ones that both have (include/linux/fileattr.h). */
const XFLAGS: readonly (readonly [number, number])[] = [
  [0x8, 0x20],
  [0x10, 0x8],
  [0x20, 0x10],
  [0x40, 0x80],
  [0x80, 0x40],
  [0x100000, 0x20000],
  [0x2000000, 0x8000],
  [0x20000000, 0x200],
];

/** FS_IOC_GETFLAGS and SETFLAGS (lsattr, chattr). */
export function ioctl(core: Core, call: CallContext, request: { id: NodeId; args: IoctlArgs }, out: DataOut): Status {
  const { command, input } = request.args;
  const node = core.nodes.get(request.id);
  if (node === undefined) return Errno.ESTALE;
  if (command >>> 0 === GETFLAGS) return getFlags(core, request.id, { out, extended: false });
  if (command >>> 0 === FSGETXATTR) return getFlags(core, request.id, { out, extended: true });
  if (command >>> 0 !== SETFLAGS || input.length < 4) return Errno.ENOTTY;
  if (core.upper === undefined) return Errno.EROFS;
  const flags = Buffer.from(input).readUInt32LE(0);
  const act = (): Status => {
    const copied = copyUp(core, node, { call, truncate: false });
    if (typeof copied === "number") return copied !== 0 ? copied : setFlags(core, request.id, flags);
    return copied.then((status) => (status !== 0 ? status : setFlags(core, request.id, flags)));
  };
  if (!governsAny(core.gate, "metadata")) return act();
  return authorizeThen(core, call, intentOn(core, node, { operation: "setattr", accesses: ["metadata"] }), act);
}

function getFlags(core: Core, id: NodeId, answer: { out: DataOut; extended: boolean }): number {
  const fd = openReal(core, id);
  if (fd < 0) return -fd;
  const flags = sys.getFlags(fd);
  sys.close(fd);
  if (flags < 0) return -flags;
  const { out, extended } = answer;
  // GETFLAGS: the command's number says long, but the kernel asks for an unsigned int (fs/fuse/ioctl.c) and refuses a longer answer.
  const bytes = out.reserve(extended ? FSXATTR_BYTES : 4);
  bytes.fill(0);
  const value = extended ? XFLAGS.reduce((all, [old, now]) => ((flags & old) === 0 ? all : all | now), 0) : flags;
  new DataView(bytes.buffer, bytes.byteOffset, bytes.length).setUint32(0, value, true);
  out.length = bytes.length;
  return 0;
}

function setFlags(core: Core, id: NodeId, flags: number): number {
  const fd = openReal(core, id);
  if (fd < 0) return -fd;
  const status = sys.setFlags(fd, flags);
  sys.close(fd);
  return -status || 0;
}

function openReal(core: Core, id: NodeId): number {
  const node = core.nodes.get(id);
  return node === undefined ? -Errno.ESTALE : openNode(core, node, O.RDONLY);
}
