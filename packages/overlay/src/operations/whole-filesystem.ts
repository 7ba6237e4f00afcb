/** STATFS, SYNCFS and IOCTL. */
import { type CallContext, type DataOut, Errno, type IoctlArgs, type NodeId, O, type StatfsOut, type Status } from "@sluice/vfs";
import { copyUp } from "../copy-up/copy-up.js";
import type { Core } from "../core.js";
import { sys } from "../layer/host-layer.js";
import { openNode } from "../node/open-node.js";

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

/** FS_IOC_GETFLAGS and SETFLAGS (lsattr, chattr). */
export function ioctl(core: Core, call: CallContext, request: { id: NodeId; args: IoctlArgs }, out: DataOut): Status {
  const { command, input } = request.args;
  const node = core.nodes.get(request.id);
  if (node === undefined) return Errno.ESTALE;
  if (command >>> 0 === GETFLAGS) return getFlags(core, request.id, out);
  if (command >>> 0 !== SETFLAGS || input.length < 4) return Errno.ENOTTY;
  if (core.upper === undefined) return Errno.EROFS;
  const flags = Buffer.from(input).readUInt32LE(0);
  const copied = copyUp(core, node, { call, truncate: false });
  if (typeof copied === "number") return copied !== 0 ? copied : setFlags(core, request.id, flags);
  return copied.then((status) => (status !== 0 ? status : setFlags(core, request.id, flags)));
}

function getFlags(core: Core, id: NodeId, out: DataOut): number {
  const fd = openReal(core, id);
  if (fd < 0) return -fd;
  const flags = sys.getFlags(fd);
  sys.close(fd);
  if (flags < 0) return -flags;
  const bytes = out.reserve(8);
  bytes.fill(0);
  new DataView(bytes.buffer, bytes.byteOffset, 8).setUint32(0, flags, true);
  out.length = 8;
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
