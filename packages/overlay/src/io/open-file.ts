/**
 * OPEN: decide, then act.
 *
 * The order is the point: open the object without side effect, describe that very descriptor to the gate, wait for the
 * ruling, check that the node is still what was described, copy up (the first effect), truncate, arbitrate the I/O mode.
 */
import { Attr, type CallContext, Errno, type NodeId, O, type OpenOut, S, type Status } from "@sluice/vfs";
import { copyUp } from "../copy-up/copy-up.js";
import type { Core } from "../core.js";
import type { Access, Intent, Ruling } from "../gate/gate.js";
import { GRANTED } from "../gate/authorize.js";
import { statFd, sys } from "../layer/host-layer.js";
import { knownPaths } from "../node/known-paths.js";
import type { Node } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { readXattrOf } from "../node/node-xattr.js";
import { arbitrate } from "./arbitrate.js";
import { clearSuid } from "./data.js";
import type { OpenFile } from "./handle-table.js";
import { InodeIo } from "./inode-io.js";

/** Restarts of one open because the node changed during a decision; each means that somebody renamed or wrote it just then. */
const MAX_RESTARTS = 16;

interface OpenRequest {
  readonly call: CallContext;
  readonly node: Node;
  readonly nodeId: NodeId;
  readonly flags: number;
  readonly write: boolean;
  readonly out: OpenOut;
  /** Described to the gate; -1 once it is somebody else's. */
  fd: number;
  version: number;
  restarts: number;
}

export function openFile(core: Core, call: CallContext, at: { nodeId: NodeId; flags: number }, out: OpenOut): Status {
  const node = core.nodes.get(at.nodeId);
  if (node === undefined) return Errno.ESTALE;
  if (!node.isRegular) return node.isDirectory ? Errno.EISDIR : Errno.ENXIO;
  const write = (at.flags & O.ACCMODE) !== O.RDONLY || (at.flags & O.TRUNC) !== 0;
  if (write && core.upper === undefined) return Errno.EROFS;
  const request: OpenRequest = { call, node, nodeId: at.nodeId, flags: at.flags, write, out, fd: -1, version: 0, restarts: 0 };
  return describeAndDecide(core, request);
}

function describeAndDecide(core: Core, request: OpenRequest): Status {
  const { node } = request;
  request.version = node.version;
  request.fd = openNode(core, node, request.write && node.inUpper && node.data === undefined ? O.RDWR : O.RDONLY);
  if (request.fd < 0) return -request.fd;
  if (!core.gate.active) return afterRuling(core, request, GRANTED);
  const attr = new Attr();
  const status = statFd(request.fd, attr);
  if (status < 0 || (attr.mode & S.IFMT) !== S.IFREG) return giveUp(request, status < 0 ? -status : Errno.ESTALE);
  const ruling = core.gate.authorize(request.call, describe(core, request, attr));
  if (!(ruling instanceof Promise)) return afterRuling(core, request, ruling);
  return ruling.then(
    (late) => afterRuling(core, request, late),
    () => giveUp(request, Errno.EINTR),
  );
}

function describe(core: Core, request: OpenRequest, attr: Attr): Intent {
  const { node, fd } = request;
  return {
    operation: "open",
    accesses: accessesOf(request.flags),
    paths: knownPaths(core, node, attr),
    layer: node.top.layer.name,
    attr,
    openFlags: request.flags,
    readXattr: (name) => readXattrOf(fd, name),
  };
}

/** What an open with these flags lets its holder do. */
export function accessesOf(flags: number): Access[] {
  const accesses: Access[] = [];
  const mode = flags & O.ACCMODE;
  if ((flags & O.EXEC) !== 0) accesses.push("execute");
  else if (mode !== O.WRONLY) accesses.push("read");
  if (mode !== O.RDONLY || (flags & O.TRUNC) !== 0) accesses.push("write");
  return accesses;
}

function afterRuling(core: Core, request: OpenRequest, ruling: Ruling): Status {
  const { node } = request;
  if (ruling.effect === "deny") return giveUp(request, ruling.errno);
  if (node.version !== request.version) return restart(core, request);
  if (!request.write || node.copiedUp) return commit(core, request, ruling);
  const copied = copyUp(core, node, { call: request.call, truncate: (request.flags & O.TRUNC) !== 0 });
  if (typeof copied === "number") return afterCopyUp(core, request, { ruling, copied });
  return copied.then((status) => afterCopyUp(core, request, { ruling, copied: status }));
}

/** The node was renamed, linked or copied up while the decision was under way: what was decided on is not what would be opened. */
function restart(core: Core, request: OpenRequest): Status {
  giveUp(request, 0);
  if (++request.restarts > MAX_RESTARTS) return Errno.EAGAIN;
  return describeAndDecide(core, request);
}

function afterCopyUp(core: Core, request: OpenRequest, result: { ruling: Ruling; copied: number }): Status {
  giveUp(request, 0);
  if (result.copied !== 0) return result.copied;
  request.fd = openNode(core, request.node, O.RDWR);
  if (request.fd < 0) return -request.fd;
  return commit(core, request, result.ruling);
}

function commit(core: Core, request: OpenRequest, ruling: Ruling): Status {
  const { node, nodeId } = request;
  const former = core.nodes.former(nodeId);
  if (isTiedElsewhere(node, former?.io ?? node.io) && cannotJoin(request, former !== undefined)) {
    if (former === undefined) core.nodes.renumber(node, node.io as InodeIo);
    return giveUp(request, Errno.ESTALE);
  }
  if ((request.flags & O.TRUNC) !== 0) {
    if (request.call.killSuidgid === true) clearSuid(request.fd, request.call);
    const status = sys.ftruncate(request.fd, 0);
    if (status < 0) return giveUp(request, -status);
  }
  node.io ??= new InodeIo();
  const io = former?.io ?? node.io;
  const file = core.handles.addFile(node, nodeId, io);
  file.write = request.write;
  settle(core, { call: request.call, file, fd: request.fd, ruling }, request.out);
  request.fd = -1;
  return 0;
}

/**
 * Must the open find the node under another id? By the one it came with it can only join the readers of the lower file, and
 * read the upper one through us. That will do:
 * - for the kernel itself, which opens an inode for an ioctl on a descriptor (fs/fuse/ioctl.c fuse_priv_ioctl): it has no
 *   name to look up again, ESTALE would reach the caller. A 64-bit caller of open(2) comes with O_LARGEFILE.
 * - for a reader who came by a former id: ESTALE was answered already and no other name was found (/proc/self/fd). A
 *   writer cannot be helped there, since the kernel would open the lower file for writing, on a read-only mount.
 */
function cannotJoin(request: OpenRequest, isFormer: boolean): boolean {
  if ((request.flags & O.LARGEFILE) === 0 && !request.write) return false;
  return request.write || !isFormer;
}

/** As `isTiedElsewhere`, of a node by its present id. */
export function needsNewId(node: Node): boolean {
  return isTiedElsewhere(node, node.io);
}

/**
 * Readers pass through to the lower file while the object lies in the upper layer now. An inode can be tied to one
 * backing file only, so the open is answered ESTALE: the kernel looks the name up again (fs/namei.c do_filp_open, once)
 * and finds the node under a new id with the same inode number, while the readers go on with what they have.
 */
function isTiedElsewhere(node: Node, io: InodeIo | undefined): boolean {
  return io !== undefined && io.passthrough > 0 && io.backing !== undefined && io.backing.layer !== node.dataLayer;
}

/** From a ruling and a descriptor to a reply; the descriptor is used up. */
export function settle(core: Core, open: { call: CallContext; file: OpenFile; fd: number; ruling: Ruling }, out: OpenOut): void {
  const { file, ruling } = open;
  const layer = file.node.dataLayer;
  const fallback = arbitrate(core, { file, fd: open.fd, granted: ruling.effect === "grant", layer });
  if (fallback !== undefined) core.events.fallback({ layer: layer.name, reason: fallback });
  if (file.fd !== open.fd) sys.close(open.fd);
  file.io.handles.add(file);
  if (file.mode === "passthrough" && file.write) file.node.writtenPastUs = true;
  out.handle = file.handle;
  out.mode = file.mode;
  out.keepCache = false;
  out.backingId = file.backing?.id ?? 0;
  core.events.openFiles(file.flow, 1);
  const path = knownPaths(core, file.node, undefined)[0] as string;
  const record = { handle: file.handle, nodeId: file.nodeId, path, layer: layer.name, mode: file.flow, write: file.write, fallback };
  core.gate.opened(open.call, ruling, record);
}

function giveUp(request: OpenRequest, errno: number): number {
  if (request.fd >= 0) sys.close(request.fd);
  request.fd = -1;
  return errno;
}
