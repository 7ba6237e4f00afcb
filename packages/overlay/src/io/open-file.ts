/**
 * OPEN: decide, then act.
 *
 * The order is the point: open the object without side effect, describe that very descriptor to the gate, wait for the
 * ruling, check that the node is still what was described, copy up (the first effect), truncate, arbitrate the I/O mode.
 */
import { Attr, type CallContext, Errno, type NodeId, O, type OpenOut, S, type Status } from "@sluice/vfs";
import { type CopyUpOptions, copyUp } from "../copy-up/copy-up.js";
import type { Core } from "../core.js";
import type { Ruling } from "../gate/gate.js";
import { GRANTED } from "../gate/authorize.js";
import { statFd, sys } from "../layer/host-layer.js";
import type { Node } from "../node/node.js";
import { openNode, openWritable } from "../node/open-node.js";
import { isReplaced } from "../operations/recheck.js";
import { wishOf } from "./arbitrate.js";
import { clearSuid } from "./data.js";
import type { Backing } from "./inode-io.js";
import type { Wish } from "./mode-table.js";
import { OpenIntent, writes } from "./open-intent.js";
import { type RoutedOpen, routeOpen } from "./route-open.js";
import { settle, settlingOf } from "./settle-open.js";

/** Restarts of one open because the node changed during a decision; each means that somebody renamed or wrote it just then. */
const MAX_RESTARTS = 16;

const now = new Attr();

/** One open on its way to its reply, and what its steps hand on. The object serves the next one, where nobody waited. */
class OpenRequest implements RoutedOpen {
  nodeId: NodeId = 0;
  flags = 0;
  write = false;
  /** Described to the gate; -1 once it is somebody else's. */
  fd = -1;
  /** What an earlier open left registered: `fd` is its descriptor. */
  kept: Backing | undefined = undefined;
  /** As it was described; undefined where nobody was asked. */
  described: Attr | undefined = undefined;
  /** The first path it was described by, where nobody waited since. */
  path: string | undefined = undefined;
  version = 0;
  restarts = 0;
  wish: Wish = "mediate";
  nameless = false;

  constructor(
    public call: CallContext,
    public node: Node,
    public out: OpenOut,
  ) {}

  begin(call: CallContext, node: Node, at: { nodeId: NodeId; flags: number }, out: OpenOut): this {
    this.call = call;
    this.node = node;
    this.out = out;
    this.nodeId = at.nodeId;
    this.flags = at.flags;
    this.write = writes(at.flags);
    this.fd = -1;
    this.kept = this.described = this.path = undefined;
    this.version = this.restarts = 0;
    return this;
  }
}

/** Of opens that waited for nobody, for the next one. */
let spareRequest: OpenRequest | undefined;
let spareAttr: Attr | undefined;
let spareIntent: OpenIntent | undefined;

export function openFile(core: Core, call: CallContext, at: { nodeId: NodeId; flags: number }, out: OpenOut): Status {
  const node = core.nodes.get(at.nodeId);
  if (node === undefined) return Errno.ESTALE;
  if (!node.isRegular) return node.isDirectory ? Errno.EISDIR : Errno.ENXIO;
  if (core.upper === undefined && writes(at.flags)) return Errno.EROFS;
  const request = (spareRequest ?? new OpenRequest(call, node, out)).begin(call, node, at, out);
  spareRequest = undefined;
  const status = describeAndDecide(core, request);
  if (typeof status === "number") spareRequest = request;
  return status;
}

function describeAndDecide(core: Core, request: OpenRequest): Status {
  request.version = request.node.version;
  const attr = spareAttr ?? new Attr();
  spareAttr = undefined;
  const errno = reach(core, request, attr);
  if (errno !== 0) return giveUp(core, request, errno);
  if (!core.gate.active) {
    spareAttr = attr;
    return afterRuling(core, request, GRANTED);
  }
  const intent = describe(core, request, attr);
  const ruling = core.gate.authorize(request.call, intent);
  if (!(ruling instanceof Promise)) {
    // Nobody waited, so there is nothing to look at again.
    request.described = undefined;
    request.path = intent.paths[0];
    spareAttr = attr;
    spareIntent = intent;
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
  request.fd = openObject(core, request, writable);
  if (request.fd === -Errno.EMFILE && core.kept.clear()) request.fd = openObject(core, request, writable);
  if (request.fd < 0) return -request.fd;
  if (!core.gate.active && !core.config.sharedLower) return 0;
  const status = statFd(request.fd, attr);
  if (status < 0) return -status;
  // The kernel looks the name up again, which leads to what is there now.
  return (attr.mode & S.IFMT) === S.IFREG && !isReplaced(core, node, attr) ? 0 : Errno.ESTALE;
}

function openObject(core: Core, { node, flags }: OpenRequest, writable: boolean): number {
  return writable ? openWritable(core, node, flags) : openNode(core, node, O.RDONLY);
}

function describe(core: Core, request: OpenRequest, attr: Attr): OpenIntent {
  const intent = spareIntent ?? new OpenIntent();
  spareIntent = undefined;
  return intent.of(core, request, attr);
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
  return copied.then((status) => {
    request.path = undefined;
    return afterCopyUp(core, request, { ruling, copied: status, fd: undefined });
  });
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
  request.nameless = (flags & O.LARGEFILE) === 0 && !write;
  request.wish = wishOf(core, node, ruling);
  const io = routeOpen(core, request);
  if (typeof io === "number") return giveUp(core, request, io);
  if ((flags & O.TRUNC) !== 0) {
    if (call.killSuidgid === true) clearSuid(request.fd, call);
    const status = sys.ftruncate(request.fd, 0);
    if (status < 0) return giveUp(core, request, -status);
  }
  const file = core.handles.addFile(node, nodeId, io);
  file.write = write;
  file.flags = flags;
  const settling = settlingOf(call, file, ruling);
  settling.fd = request.fd;
  settling.kept = request.kept;
  settling.path = request.path;
  settle(core, settling, request.out);
  request.fd = -1;
  return 0;
}
function giveUp(core: Core, request: OpenRequest, errno: number): number {
  if (request.kept !== undefined) core.kept.give(request.node, request.kept);
  else if (request.fd >= 0) sys.close(request.fd);
  request.kept = undefined;
  request.fd = -1;
  return errno;
}
