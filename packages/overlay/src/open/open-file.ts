/**
 * OPEN: orders its steps. Only the decision and the copy-up may wait; gate/govern.ts does the waiting.
 *
 * The model. An open is described before anything is done: `reach` opens the object without side effect, and open-intent.ts
 * describes that very descriptor to the gate. The ruling and the kernel's other opens of the file make a plan (plan-open.ts,
 * pure). The plan says by which nodeId the open is served, in which I/O mode, and whether the file is copied up and truncated
 * first. execute-plan.ts carries it out in one turn of the event loop, and fills the reply in.
 *
 * The races. FUSE locks no inode for OPEN, so these run at the same time:
 * - A decision is under way, and another caller renames a directory above the file, replaces the file, or changes its owner;
 *   or the policy changes. Against that, `holds` describes the open again after each wait, and gate/govern.ts has it judged
 *   again if anything differs. The last comparison and `commit` share a turn of the event loop: nothing runs in between.
 * - A copy-up is under way, and another caller opens, unlinks or copies up the same file. All callers wait for one and the same
 *   copy (copy-up/copy-up.ts). Afterwards the open has another descriptor and another layer, so it is planned again.
 * - A reply of ours is under way, and the kernel handles it after a later one. It may therefore see an open's mode before or
 *   after its neighbour's. mode-table.ts puts no two modes on one nodeId that conflict in either order.
 * - A RELEASE is under way: the kernel has left a mode that we still count. That errs on the safe side, since whatever fits the
 *   old mode fits an idle inode as well.
 *
 * Why the retry. The kernel holds an inode in one I/O mode (fs/fuse/iomode.c), and a second open may need another one. We
 * cannot wait for the first open's close, which may never come, and an answer in the wrong mode is EIO for the application. But
 * after ESTALE the kernel looks the name up once more (fs/namei.c do_filp_open, LOOKUP_REVAL) and opens what it finds. So the
 * open is answered ESTALE, and the LOOKUP leads to another nodeId with the same inode number. The kernel does this once, and
 * not for an open that has no name (/proc/self/fd/N), hence reroutes.ts: it tells a first OPEN from a second one.
 *
 * Three things are tried again, each by another loop with a bound of its own:
 *
 * | repeated step | by whom | how often | and then |
 * |---|---|---|---|
 * | the judgement, if the judged state changed | gate/govern.ts | 16 times for each operation | EACCES |
 * | the question, if it lacked facts or the content changed | the policy gate | 3 times for each judgement | EACCES, or the answer |
 * | OPEN, by another nodeId | the kernel | once, and only with a name | ESTALE, or the mode that fits |
 *
 * They cannot share a bound. The second lies in the gate, since reviews of open files ask it without govern.ts; the third is
 * the kernel's. Running out of descriptors is no loop: `reach` closes cached ones once, and opens with the freed ones.
 */
import { andThen, Attr, type CallContext, Errno, type NodeId, O, type OpenOut, S, type Status } from "@sluice/vfs";
import { type CopyUpOptions, copyUp } from "../copy-up/copy-up.js";
import { ABANDONED } from "../copy-up/copy-up-job.js";
import type { OpenContext } from "./open-context.js";
import type { Ruling } from "../contract/gate.js";
import { govern, type Governed } from "../gate/govern.js";
import { GRANTED } from "../gate/governs.js";
import { hidesNode } from "../gate/hidden.js";
import { clearSuidIf, emptyFile } from "../io/data.js";
import { shrinkLarge } from "../io/large-files.js";
import { noteTruncated, wasTruncated } from "../journal/intents.js";
import { statFd } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import type { Node } from "../node/node.js";
import { openForCopy, openNode, openWritable, statNode } from "../node/open-node.js";
import { isReplaced } from "../operations/revalidate.js";
import type { Backing, InodeIo } from "../node/inode-io.js";
import { executePlan, type PlannedOpen } from "./execute-plan.js";
import { OpenIntent, writes } from "./open-intent.js";
import { OpenPlan, planOpen } from "./plan-open.js";
import type { Arrival } from "./reroutes.js";

const now = new Attr();
/** Of no node. */
const NO_VERSION = -1;

/** One open on its way to its reply. If it waits for nobody, the object serves the next open as well. */
class OpenRequest implements PlannedOpen, Governed<OpenContext> {
  nodeId: NodeId = 0;
  io: InodeIo | undefined = undefined;
  byAlias = false;
  pid = 0;
  flags = 0;
  write = false;
  arrival: Arrival = "first";
  nameless = false;
  readonly isNew = false;
  saysEmpty = false;
  /** Described to the gate; -1 once somebody else owns it. */
  fd = -1;
  seen: Attr | undefined = undefined;
  /** A registration that an earlier open left: `fd` is its descriptor. */
  cachedBacking: Backing | undefined = undefined;
  /** The attributes that were described, if the gate's answer did not come at once. */
  described: Attr | undefined = undefined;
  /** The paths that it was judged by; undefined if nobody was asked. */
  paths: readonly string[] | undefined = undefined;
  /** In which the file lay when it was judged; "" if nobody was asked. */
  layer = "";
  /** Of an open that truncates: the size that it was judged by. */
  judgedSize = 0n;
  /** The node's version when `fd` was opened. */
  version = 0;
  /** `fd` is the copy in the upper layer that this open made or waited for. */
  copied = false;
  /** The pool was asked to truncate the file, since it is large. */
  waited = false;
  /** It did, once for all: others may have written since, also if the open is judged again or comes again by another nodeId. */
  emptied = false;
  ruling: Ruling = GRANTED;
  readonly plan = new OpenPlan();

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
    this.pid = call.pid;
    this.flags = at.flags;
    this.write = writes(at.flags);
    // A 64-bit caller of open(2) comes with O_LARGEFILE.
    this.nameless = (at.flags & O.LARGEFILE) === 0 && !this.write;
    this.fd = -1;
    this.seen = undefined;
    this.cachedBacking = undefined;
    this.emptied = false;
    return this;
  }

  get path(): string | undefined {
    return this.paths?.[0];
  }

  judge(core: OpenContext): Status {
    if (hidesNode(core, this.node)) return Errno.ENOENT;
    this.seen = this.described = this.paths = undefined;
    this.ruling = GRANTED;
    this.layer = "";
    this.version = this.node.version;
    this.copied = this.waited = false;
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
    const judgedLayer = core.reroutes.judgedLayer(this.pid, this.node, this.flags);
    if (judgedLayer !== "") {
      intent.layer = judgedLayer;
      intent.repeats = true;
    }
    this.paths = intent.paths;
    this.layer = intent.layer;
    if ((this.flags & O.TRUNC) !== 0) this.judgedSize = attr.sizeExact;
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

  holds(core: OpenContext): boolean {
    const { paths, node } = this;
    // Another caller renamed, linked or copied up the file: `fd` may be of another object.
    if (node.version !== this.version) return false;
    if (paths === undefined) return true;
    if (statNow(core, this) < 0 || !isStill(this)) return false;
    const intent = new OpenIntent().of(core, this, now);
    if (intent.paths.length !== paths.length || paths.some((path, at) => path !== intent.paths[at])) return false;
    // The open's own copy-up is no difference.
    intent.layer = this.layer;
    if ((this.copied && (this.flags & O.TRUNC) !== 0) || this.emptied) intent.beforeTruncation(this.judgedSize);
    return core.gate.holds(this.call, this.ruling, intent);
  }

  prepare(core: OpenContext, permit: Permit): Status {
    if (!this.#plan(core).copiesUp) return this.#empty(core, permit);
    const { node, flags, call, plan } = this;
    // An open that is sent elsewhere may have no name to come again by: the file keeps its data then.
    const options: CopyUpOptions = { permit, call, truncate: plan.truncates && plan.placement === "here", handsOver: true };
    options.appends = (flags & (O.APPEND | O.TRUNC)) === O.APPEND;
    if (options.truncate) {
      options.stands = this.#standing(core);
      options.truncates = (copy) => emptyFile(permit, copy, { call, kills: call.killSuidgid });
    }
    const copied = copyUp(core, node, options);
    return andThen(copied, (status) => {
      if (status === ABANDONED) return this.#abandon();
      if (options.emptied === true) this.#isEmptied(core);
      return status !== 0 ? status : this.#reopen(core, options.fd);
    });
  }

  #empty(core: OpenContext, permit: Permit): Status {
    const { call, plan, fd } = this;
    const empties = plan.truncates && plan.placement === "here" && !this.emptied;
    const emptied = empties ? shrinkLarge(permit, fd, 0, () => clearSuidIf(call.killSuidgid, permit, fd, call) === 0) : undefined;
    if (emptied === undefined) return 0;
    // Other opens use the object meanwhile.
    this.seen = undefined;
    this.waited = true;
    return emptied.then((done) => {
      if (done) this.#isEmptied(core);
      return 0;
    });
  }

  #isEmptied(core: OpenContext): void {
    this.emptied = true;
    noteTruncated(core, this.call);
  }

  /** Tells whether the open is still as it was judged, under the same policy. */
  #standing(core: OpenContext): () => boolean {
    const { epoch } = core.gate;
    return () => core.gate.epoch === epoch && this.holds(core);
  }

  /** The judgement does not hold any more, even if the open is as it was judged by now. */
  #abandon(): number {
    this.version = NO_VERSION;
    return 0;
  }

  #plan(core: OpenContext): OpenPlan {
    const { node, nodeId } = this;
    const alias = core.nodes.alias(nodeId);
    this.io = alias === undefined ? node.io : alias.io;
    this.byAlias = alias !== undefined;
    this.arrival = core.reroutes.arrival(this.pid, node, this.flags);
    this.emptied ||= this.arrival !== "first" && core.reroutes.isEmptied(this.pid);
    // By an earlier server, which was killed before it answered.
    if ((this.flags & O.TRUNC) !== 0) this.emptied ||= wasTruncated(core, this.call);
    this.saysEmpty = !node.dataLayer.tellsSizes && this.fd >= 0 && statFd(this.fd, now) === 0 && now.sizeExact === 0n;
    return planOpen(core, this, this.ruling, this.plan);
  }

  /** `fd`: the copy's own, open for writing, if it was made in this very call. */
  #reopen(core: OpenContext, fd: number | undefined): number {
    giveBack(core, this);
    this.seen = undefined;
    this.fd = fd ?? openWritable(core, this.node, this.flags);
    this.version = this.node.version;
    this.copied = true;
    return this.fd < 0 ? -this.fd : 0;
  }

  commit(core: OpenContext, permit: Permit): number {
    // The copy-up moved the file, and other opens may have come meanwhile.
    if (this.copied || this.waited) this.#plan(core);
    const errno = executePlan(core, permit, this, this.out);
    if (errno !== 0) return errno;
    this.fd = -1;
    this.cachedBacking = undefined;
    return 0;
  }

  end(core: OpenContext): void {
    giveBack(core, this);
  }
}

/** Left by opens that waited for nobody, for the next one. */
let spareRequest: OpenRequest | undefined;
let spareAttr: Attr | undefined;
let spareIntent: OpenIntent | undefined;

export function openFile(core: OpenContext, call: CallContext, at: { nodeId: NodeId; flags: number }, out: OpenOut): Status {
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

/** Opens the file, without side effect; `attr` gets its attributes if somebody will be asked about it. 0, or the errno. */
function reach(core: OpenContext, request: OpenRequest, attr: Attr): number {
  const { node, write } = request;
  request.cachedBacking = write || core.config.opensAnew === true ? undefined : core.backings.take(core, node, attr);
  if (request.cachedBacking !== undefined) {
    request.fd = request.cachedBacking.fd;
    return 0;
  }
  // The file will be copied up, and nobody asks about it before.
  if (write && !node.copiedUp && !core.gate.active) return 0;
  const writable = write && node.inUpper && node.data === undefined;
  request.fd = openObject(core, request, writable);
  if (request.fd === -Errno.EMFILE && core.backings.clear({ atOnce: true })) request.fd = openObject(core, request, writable);
  if (request.fd < 0) return -request.fd;
  if (!core.gate.active && !core.config.sharedLower) return 0;
  const status = statFd(request.fd, attr);
  if (status < 0) return -status;
  request.seen = attr;
  // After ESTALE the kernel looks the name up again, and finds what is there now.
  return (attr.mode & S.IFMT) === S.IFREG && !isReplaced(core, node, attr) ? 0 : Errno.ESTALE;
}

function openObject(core: OpenContext, { node, flags, write }: OpenRequest, writable: boolean): number {
  if (writable) return openWritable(core, node, flags);
  return write ? openForCopy(core, node) : openNode(core, node, O.RDONLY);
}

function statNow(core: OpenContext, { fd, node }: OpenRequest): number {
  return fd >= 0 ? statFd(fd, now) : statNode(core, node, now);
}

/** Does `now` describe the same file as before, with the same owner and mode? */
function isStill({ described, copied }: OpenRequest): boolean {
  if (described === undefined) return true;
  const [was, is] = [described.words, now.words];
  // A copy-up gives it another inode.
  if (!copied && (was[0] !== is[0] || was[1] !== is[1])) return false;
  return described.mode === now.mode && described.uid === now.uid && described.gid === now.gid;
}

/** Closes the descriptor, or gives a cached one back, unless somebody else owns it by now. */
function giveBack(core: OpenContext, request: OpenRequest): void {
  if (request.cachedBacking !== undefined) core.backings.give(request.node, request.cachedBacking);
  else if (request.fd >= 0) core.closes.close(request.fd);
  request.cachedBacking = undefined;
  request.fd = -1;
}
