/**
 * OPEN: decide, then act.
 *
 * The order is the point: open the object without side effect, describe that very descriptor to the gate, wait for the
 * ruling, copy up, truncate, arbitrate the I/O mode. After each wait gate/govern.ts has the open compared with what was judged.
 */
import { Attr, type CallContext, Errno, type NodeId, O, type OpenOut, S, type Status } from "@sluice/vfs";
import { type CopyUpOptions, copyUp } from "../copy-up/copy-up.js";
import { andThen } from "../copy-up/statuses.js";
import type { Core } from "../core.js";
import type { Ruling } from "../gate/gate.js";
import { govern, type Governed } from "../gate/govern.js";
import { GRANTED } from "../gate/governs.js";
import { effects, statFd, sys } from "../layer/host-layer.js";
import type { Permit } from "../layer/permit.js";
import type { Node } from "../node/node.js";
import { openNode, openWritable, statNode } from "../node/open-node.js";
import { isReplaced } from "../operations/recheck.js";
import { wishOf } from "./arbitrate.js";
import { clearSuid } from "../io/data.js";
import type { Backing } from "../io/inode-io.js";
import type { Wish } from "./mode-table.js";
import { OpenIntent, writes } from "./open-intent.js";
import { type RoutedOpen, routeOpen } from "./route-open.js";
import { settle, settlingOf } from "./settle-open.js";

const now = new Attr();

/** One open on its way to its reply. The object serves the next one if nobody waited. */
class OpenRequest implements RoutedOpen, Governed {
  nodeId: NodeId = 0;
  flags = 0;
  write = false;
  /** Described to the gate; -1 once it is somebody else's. */
  fd = -1;
  /** What an earlier open left registered: `fd` is its descriptor. */
  kept: Backing | undefined = undefined;
  /** As it was described, if the gate was asked and the answer did not come at once. */
  described: Attr | undefined = undefined;
  /** The paths that it was judged by; undefined where nobody was asked. */
  paths: readonly string[] | undefined = undefined;
  layer = "";
  /** Of the node, as `fd` was opened. */
  version = 0;
  /** `fd` is of the copy in the upper layer that this open made, or waited for. */
  copied = false;
  ruling: Ruling = GRANTED;
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
    this.kept = undefined;
    return this;
  }

  judge(core: Core): Status {
    this.described = this.paths = undefined;
    this.ruling = GRANTED;
    this.version = this.node.version;
    this.copied = false;
    const attr = spareAttr ?? new Attr();
    spareAttr = undefined;
    const errno = reach(core, this, attr);
    if (errno !== 0) return errno;
    if (!core.gate.active) {
      spareAttr = attr;
      return 0;
    }
    const intent = (spareIntent ?? new OpenIntent()).of(core, this, attr);
    spareIntent = undefined;
    this.paths = intent.paths;
    this.layer = intent.layer;
    const ruling = core.gate.authorize(this.call, intent);
    if (!(ruling instanceof Promise)) {
      spareAttr = attr;
      spareIntent = intent;
      return this.#ruled(ruling);
    }
    this.described = attr;
    return ruling.then((late) => this.#ruled(late));
  }

  #ruled(ruling: Ruling): number {
    this.ruling = ruling;
    return ruling.effect === "deny" ? ruling.errno : 0;
  }

  holds(core: Core): boolean {
    const { paths, node } = this;
    // It was renamed, linked, or copied up by somebody else: `fd` may be of another object.
    if (node.version !== this.version) return false;
    if (paths === undefined) return true;
    if (statNow(core, this) < 0 || !isStill(this)) return false;
    const intent = new OpenIntent().of(core, this, now);
    if (intent.paths.length !== paths.length || paths.some((path, at) => path !== intent.paths[at])) return false;
    // What the open itself changed by its copy-up is no difference.
    intent.layer = this.layer;
    if (this.copied && (this.flags & O.TRUNC) !== 0) intent.forgetContent();
    return core.gate.holds(this.call, this.ruling, intent);
  }

  prepare(core: Core, permit: Permit): Status {
    const { node } = this;
    if (!this.write || node.copiedUp) return 0;
    const truncate = (this.flags & O.TRUNC) !== 0;
    const options: CopyUpOptions = { permit, call: this.call, truncate, handsOver: true };
    options.appends = (this.flags & (O.APPEND | O.TRUNC)) === O.APPEND;
    const copied = copyUp(core, node, options);
    return andThen(copied, (status) => (status !== 0 ? status : this.#reopen(core, options.fd)));
  }

  /** `fd` is the copy's own, open for writing, where it was made in this very call. */
  #reopen(core: Core, fd: number | undefined): number {
    giveBack(core, this);
    this.fd = fd ?? openWritable(core, this.node, this.flags);
    this.version = this.node.version;
    this.copied = true;
    return this.fd < 0 ? -this.fd : 0;
  }

  commit(core: Core, permit: Permit): number {
    const { node, nodeId, call, flags } = this;
    // A 64-bit caller of open(2) comes with O_LARGEFILE.
    this.nameless = (flags & O.LARGEFILE) === 0 && !this.write;
    this.wish = wishOf(core, node, this.ruling);
    const io = routeOpen(core, this);
    if (typeof io === "number") return io;
    if ((flags & O.TRUNC) !== 0) {
      if (call.killSuidgid === true) clearSuid(permit, this.fd, call);
      const status = effects(permit).ftruncate(this.fd, 0);
      if (status < 0) return -status;
    }
    const file = core.handles.addFile(node, nodeId, io);
    file.write = this.write;
    file.flags = flags;
    const settling = settlingOf(call, file, this.ruling);
    settling.fd = this.fd;
    settling.kept = this.kept;
    settling.path = this.paths?.[0];
    settle(core, settling, this.out);
    this.fd = -1;
    this.kept = undefined;
    return 0;
  }

  end(core: Core): void {
    giveBack(core, this);
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
  const status = govern(core, request);
  if (typeof status === "number") spareRequest = request;
  return status;
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

function statNow(core: Core, { fd, node }: OpenRequest): number {
  return fd >= 0 ? statFd(fd, now) : statNode(core, node, now);
}

/** Is `now`, which was looked at again, the file that was described, and may others do with it what they might then? */
function isStill({ described, copied }: OpenRequest): boolean {
  if (described === undefined) return true;
  const [was, is] = [described.words, now.words];
  // A copy-up gives it another inode.
  if (!copied && (was[0] !== is[0] || was[1] !== is[1])) return false;
  return described.mode === now.mode && described.uid === now.uid && described.gid === now.gid;
}

/** The descriptor goes back to where it came from, unless it is somebody else's by now. */
function giveBack(core: Core, request: OpenRequest): void {
  if (request.kept !== undefined) core.kept.give(request.node, request.kept);
  else if (request.fd >= 0) sys.close(request.fd);
  request.kept = undefined;
  request.fd = -1;
}
