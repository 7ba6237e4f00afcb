/**
 * OPEN: decide, then act.
 *
 * The order is the point: open the object without side effect, describe that very descriptor to the gate, wait for the
 * ruling, check that the node is still what was described, copy up (the first effect), truncate, arbitrate the I/O mode.
 */
import { Attr, type CallContext, Errno, type NodeId, O, type OpenOut, S, type Status } from "@sluice/vfs";
import { type CopyUpOptions, copyUp } from "../copy-up/copy-up.js";
import type { Core } from "../core.js";
import type { Access, Intent, Ruling } from "../gate/gate.js";
import { GRANTED } from "../gate/authorize.js";
import { statFd, sys } from "../layer/host-layer.js";
import { knownPaths } from "../node/known-paths.js";
import type { Node } from "../node/node.js";
import { openNode, openWritable } from "../node/open-node.js";
import { readXattrOf } from "../node/node-xattr.js";
import { isReplaced } from "../operations/recheck.js";
import { arbitrate, wishOf } from "./arbitrate.js";
import { contentOf } from "./content.js";
import { clearSuid } from "./data.js";
import type { OpenFile } from "./handle-table.js";
import type { Backing } from "./inode-io.js";
import { mayKeepPages } from "./kept-pages.js";
import { routeOpen } from "./route-open.js";

/** Restarts of one open because the node changed during a decision; each means that somebody renamed or wrote it just then. */
const MAX_RESTARTS = 16;

const now = new Attr();

interface OpenRequest {
  readonly call: CallContext;
  readonly node: Node;
  readonly nodeId: NodeId;
  readonly flags: number;
  readonly write: boolean;
  readonly out: OpenOut;
  /** Described to the gate; -1 once it is somebody else's. */
  fd: number;
  /** What an earlier open left registered: `fd` is its descriptor. */
  kept: Backing | undefined;
  /** As it was described; undefined where nobody was asked. */
  described: Attr | undefined;
  version: number;
  restarts: number;
}

export function openFile(core: Core, call: CallContext, at: { nodeId: NodeId; flags: number }, out: OpenOut): Status {
  const node = core.nodes.get(at.nodeId);
  if (node === undefined) return Errno.ESTALE;
  if (!node.isRegular) return node.isDirectory ? Errno.EISDIR : Errno.ENXIO;
  const write = (at.flags & O.ACCMODE) !== O.RDONLY || (at.flags & O.TRUNC) !== 0;
  if (write && core.upper === undefined) return Errno.EROFS;
  const request: OpenRequest = {
    call,
    node,
    nodeId: at.nodeId,
    flags: at.flags,
    write,
    out,
    fd: -1,
    kept: undefined,
    described: undefined,
    version: 0,
    restarts: 0,
  };
  return describeAndDecide(core, request);
}

/** A typed array is dear to make: one that no ruling waits with serves the next open. */
let spareAttr: Attr | undefined;

function describeAndDecide(core: Core, request: OpenRequest): Status {
  request.version = request.node.version;
  const attr = spareAttr ?? new Attr();
  spareAttr = undefined;
  const errno = reach(core, request, attr);
  if (errno !== 0) return giveUp(core, request, errno);
  const ruling = core.gate.active ? core.gate.authorize(request.call, describe(core, request, attr)) : GRANTED;
  if (!(ruling instanceof Promise)) {
    // Nobody waited, so there is nothing to look at again.
    request.described = undefined;
    spareAttr = attr;
    return afterRuling(core, request, ruling);
  }
  request.described = attr;
  return ruling.then(
    (late) => afterRuling(core, request, late),
    () => giveUp(core, request, Errno.EINTR),
  );
}

/** A descriptor of the file, and where somebody is asked its attributes. 0, or the errno. */
function reach(core: Core, request: OpenRequest, attr: Attr): number {
  const { node, write } = request;
  request.kept = write ? undefined : core.kept.take(core, node, attr);
  if (request.kept !== undefined) {
    request.fd = request.kept.fd;
    return 0;
  }
  // It will be copied up, and nobody asks what it is before.
  if (write && !node.copiedUp && !core.gate.active) return 0;
  const writable = write && node.inUpper && node.data === undefined;
  const open = (): number => (writable ? openWritable(core, node, request.flags) : openNode(core, node, O.RDONLY));
  request.fd = open();
  if (request.fd === -Errno.EMFILE && core.kept.clear()) request.fd = open();
  if (request.fd < 0) return -request.fd;
  if (!core.gate.active && !core.config.sharedLower) return 0;
  const status = statFd(request.fd, attr);
  if (status < 0) return -status;
  // The kernel looks the name up again, which leads to what is there now.
  return (attr.mode & S.IFMT) === S.IFREG && !isReplaced(core, node, attr) ? 0 : Errno.ESTALE;
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
    content: contentOf(core, node, fd),
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
  if (ruling.effect === "deny") return giveUp(core, request, ruling.errno);
  if (node.version !== request.version || differs(request)) return restart(core, request);
  if (!request.write || node.copiedUp) return commit(core, request, ruling);
  const options: CopyUpOptions = { call: request.call, truncate: (request.flags & O.TRUNC) !== 0, handsOver: true };
  options.appends = (request.flags & (O.APPEND | O.TRUNC)) === O.APPEND;
  const copied = copyUp(core, node, options);
  if (typeof copied === "number") return afterCopyUp(core, request, { ruling, copied, fd: options.fd });
  return copied.then((status) => afterCopyUp(core, request, { ruling, copied: status, fd: undefined }));
}

/** The node was renamed, linked or copied up while the decision was under way: what was decided on is not what would be opened. */
function restart(core: Core, request: OpenRequest): Status {
  giveUp(core, request, 0);
  if (++request.restarts > MAX_RESTARTS) return Errno.EAGAIN;
  return describeAndDecide(core, request);
}

/** Is the file another one than was described, or may others do with it what they might not then? */
function differs({ fd, described }: OpenRequest): boolean {
  if (described === undefined) return false;
  if (statFd(fd, now) < 0) return true;
  const [was, is] = [described.words, now.words];
  return was[0] !== is[0] || was[1] !== is[1] || described.mode !== now.mode || described.uid !== now.uid || described.gid !== now.gid;
}

/** `fd` is the copy's own, open for writing, where it was made in this very call. */
function afterCopyUp(core: Core, request: OpenRequest, result: { ruling: Ruling; copied: number; fd: number | undefined }): Status {
  giveUp(core, request, 0);
  if (result.copied !== 0) return result.copied;
  request.fd = result.fd ?? openWritable(core, request.node, request.flags);
  if (request.fd < 0) return -request.fd;
  return commit(core, request, result.ruling);
}

function commit(core: Core, request: OpenRequest, ruling: Ruling): Status {
  const { node, nodeId, call, write, flags } = request;
  // A 64-bit caller of open(2) comes with O_LARGEFILE.
  const nameless = (flags & O.LARGEFILE) === 0 && !write;
  const io = routeOpen(core, { call, node, nodeId, write, nameless, wish: wishOf(core, node, ruling) });
  if (typeof io === "number") return giveUp(core, request, io);
  if ((flags & O.TRUNC) !== 0) {
    if (call.killSuidgid === true) clearSuid(request.fd, call);
    const status = sys.ftruncate(request.fd, 0);
    if (status < 0) return giveUp(core, request, -status);
  }
  const file = core.handles.addFile(node, nodeId, io);
  file.write = write;
  file.flags = flags;
  settle(core, { call, file, fd: request.fd, ruling, kept: request.kept }, request.out);
  request.fd = -1;
  return 0;
}

interface Settling {
  call: CallContext;
  file: OpenFile;
  fd: number;
  ruling: Ruling;
  /** What `fd` is registered as already. */
  kept?: Backing | undefined;
  /** The file was made just now: the kernel has nothing of it yet. */
  fresh?: true;
}

/** From a ruling and a descriptor to a reply; the descriptor is used up. */
export function settle(core: Core, open: Settling, out: OpenOut): void {
  const { file, ruling, kept } = open;
  const layer = file.node.dataLayer;
  const wish = wishOf(core, file.node, ruling);
  const fallback = arbitrate(core, { file, fd: open.fd, wish, granted: ruling.effect === "grant", layer, kept });
  if (fallback !== undefined) core.events.fallback({ layer: layer.name, reason: fallback });
  if (kept !== undefined && file.backing !== kept) core.port.closeBacking(kept.id);
  if (file.fd !== open.fd) sys.close(open.fd);
  file.io.handles.add(file);
  file.layer = layer;
  // Of one that was mediated beside a grant the mappings alone pass us by.
  if (file.backing !== undefined && file.write) writesPastUs(core, file, open.fresh === true);
  core.journal?.opened(file, open.call.journalSlot ?? 0);
  out.handle = file.handle;
  out.mode = file.mode;
  out.keepCache = file.mode === "cached" && mayKeepPages(file);
  out.backingId = file.backing?.id ?? 0;
  core.events.openFiles(file.flow, 1);
  const path = knownPaths(core, file.node, undefined)[0] as string;
  const record = {
    handle: file.handle,
    nodeId: file.nodeId,
    path,
    layer: layer.name,
    mode: file.flow,
    io: file.mode,
    write: file.write,
    fallback,
  };
  file.watch = ruling.watch?.(record);
  core.gate.opened(open.call, ruling, record);
  const keeps = core.journal === undefined ? undefined : core.gate.keep?.(file.handle);
  if (keeps !== undefined) core.journal?.attach(file, keeps);
}

/**
 * From now on a mapping may change the file without a word: what the kernel keeps of its attributes is worth nothing. What
 * cannot be read cannot be mapped: there each write has the kernel ask again, and one that takes suid is announced before.
 */
function writesPastUs(core: Core, file: OpenFile, fresh: boolean): void {
  const { node, nodeId, flags } = file;
  file.io.pagesOf = undefined;
  if (node.io !== undefined) node.io.pagesOf = undefined;
  if ((flags & O.ACCMODE) === O.WRONLY) {
    // What truncation takes of the mode is not.
    if (!fresh && (flags & O.TRUNC) !== 0) core.port.dropAttributes(nodeId);
    return;
  }
  if (node.writtenPastUs) return;
  node.writtenPastUs = true;
  core.journal?.writtenPastUs(node);
  if (!fresh) core.port.dropAttributes(nodeId);
}

function giveUp(core: Core, request: OpenRequest, errno: number): number {
  if (request.kept !== undefined) core.kept.give(request.node, request.kept);
  else if (request.fd >= 0) sys.close(request.fd);
  request.kept = undefined;
  request.fd = -1;
  return errno;
}
