/**
 * RENAME in the upper layer, as overlayfs does it: both ends are copied up first, a whiteout hides anything below that would show
 * through, and a directory that takes its lower entries along gets a redirect. One rename(2) changes the merged tree.
 */
import { andThen, type ByteName, type CallContext, Errno, NAME_MAX, O, RENAME, type RenameArgs, type Status } from "@sluice/vfs";
import { copyUp } from "../copy-up/copy-up.js";
import { copyUpDeep, copyUpDirectory } from "../copy-up/copy-up-directory.js";
import { noteReplaced } from "../copy-up/note-base.js";
import type { OperationContext } from "./operation-context.js";
import { govern, type Governed } from "../gate/govern.js";
import { governsMove } from "../gate/governs.js";
import { hidesName } from "../gate/hidden.js";
import { intendToRename, type RenamePlan } from "../journal/intents.js";
import { beginToWriteLarge } from "../io/large-files.js";
import { effects, statName, sys } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import type { RealDir } from "../layer/host-layer.js";
import { isForeignMark } from "../marks/foreign-marks.js";
import { isAnyWhiteout } from "../marks/whiteout.js";
import { existsBelow } from "../merge/find.js";
import { isBare, losesItsCount } from "../node/link-index.js";
import type { Node } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { arrived } from "./arrivals.js";
import { clearForOverwrite } from "./clear-for-overwrite.js";
import { RenameJudgement } from "./judge-rename.js";
import { childOf, directoryOf } from "./lookup.js";
import { markMoved } from "./mark-moved.js";
import { EmptyProof } from "./prove-empty.js";
import { forgetName } from "./remove.js";
import { mayAdd, mayTake } from "../node/protection.js";

export function rename(core: OperationContext, call: CallContext, args: RenameArgs): Status {
  const { flags } = args;
  if (core.upper === undefined) return Errno.EROFS;
  // RENAME_WHITEOUT would let callers make whiteouts; overlayfs refuses it too.
  if ((flags & ~(RENAME.NOREPLACE | RENAME.EXCHANGE)) !== 0) return Errno.EINVAL;
  if (args.newName.length > NAME_MAX) return Errno.ENAMETOOLONG;
  if (core.marks.foreign && isForeignMark(args.newName)) return Errno.EINVAL;
  return govern(core, new Renaming(call, { ...args }));
}

class Renaming implements Governed<OperationContext> {
  #judgement: RenameJudgement | undefined = undefined;
  /** Of the directory that is replaced. */
  #isEmpty: EmptyProof | undefined = undefined;
  /** As things are in this turn of the event loop; undefined once something waited or was copied up. */
  #plan: RenamePlan | number | undefined = undefined;

  constructor(
    readonly call: CallContext,
    private readonly args: RenameArgs,
  ) {}

  judge(core: OperationContext): Status {
    const plan = this.#planAgain(core);
    if (typeof plan === "number") return plan;
    if (!governsMove(core.gate) && !core.gate.hidesNames) return 0;
    this.#judgement = new RenameJudgement(core, this.call);
    return this.#judgement.judge(plan);
  }

  holds(core: OperationContext): boolean {
    const plan = this.#planAgain(core);
    return typeof plan !== "number" && this.#isEmpty?.holds !== false && this.#judgement?.holds(plan) !== false;
  }

  /** Copies up what the rename needs, which may wait, and plans again after each wait. */
  prepare(core: OperationContext, permit: Permit): Status {
    let copiedBefore: Node | undefined;
    for (;;) {
      const plan = this.#plan ?? this.#planAgain(core);
      if (typeof plan === "number") return plan;
      const refused = check(core, plan);
      if (refused !== 0) return refused;
      const empty = this.#proveEmpty(core, plan);
      if (typeof empty !== "number") return empty.then((status) => this.#prepareOn(core, permit, status));
      if (empty !== 0) return empty;
      const missing = needsCopyUp(core, plan);
      if (missing === undefined) {
        const above = copyUpDeep(core, plan.newParent);
        return typeof above === "number"
          ? above || andThen(this.#noteTarget(core, plan), (status) => status || this.#beginToWrite(core, plan))
          : above.then((status) => this.#prepareOn(core, permit, status));
      }
      // The node contradicts itself: one rename fails, and the mount does not stand still.
      if (missing === copiedBefore) return Errno.EIO;
      copiedBefore = missing;
      const moves = missing === plan.node ? plan : { parent: plan.newParent, name: plan.newName };
      const copied = copyUp(core, missing, { permit, call: this.call, truncate: false, metadataOnly: true, moves });
      if (typeof copied !== "number") return copied.then((status) => this.#prepareOn(core, permit, status));
      if (copied !== 0) return copied;
      this.#plan = undefined;
    }
  }

  #prepareOn(core: OperationContext, permit: Permit, waited: number): Status {
    this.#plan = undefined;
    return waited !== 0 ? waited : this.prepare(core, permit);
  }

  #planAgain(core: OperationContext): RenamePlan | number {
    this.#plan = makePlan(core, this.args);
    return this.#plan;
  }

  commit(core: OperationContext, permit: Permit): number {
    const plan = this.#plan ?? this.#planAgain(core);
    if (typeof plan === "number") return plan;
    const refused = check(core, plan);
    if (refused !== 0) return refused;
    if (replacesDirectory(plan) && this.#isEmpty?.covers(plan.target as Node) !== true) return Errno.ENOTEMPTY;
    return needsCopyUp(core, plan) === undefined ? execute(core, permit, this.call, plan) : Errno.EIO;
  }

  end(): void {
    this.#judgement?.end();
    this.#judgement = undefined;
    this.#isEmpty?.end();
    this.#isEmpty = undefined;
  }

  /** If it changes once more before the rename, the review finds that out. */
  #noteTarget(core: OperationContext, { target, node, exchange }: RenamePlan): Status {
    return target === undefined || target === node || exchange ? 0 : noteReplaced(core, target);
  }

  #beginToWrite(core: OperationContext, { node, target, exchange }: RenamePlan): Status {
    return target === undefined || target === node || exchange ? 0 : beginToWriteLarge(core, node);
  }

  #proveEmpty(core: OperationContext, plan: RenamePlan): Status {
    const target = plan.target as Node;
    if (!replacesDirectory(plan) || this.#isEmpty?.covers(target) === true) return 0;
    this.#isEmpty?.end();
    this.#isEmpty = new EmptyProof(core, target);
    return this.#isEmpty.look(this.call);
  }
}

function makePlan(core: OperationContext, args: RenameArgs): RenamePlan | number {
  const parent = directoryOf(core, args.parent);
  if (typeof parent === "number") return parent;
  const newParent = directoryOf(core, args.newParent);
  if (typeof newParent === "number") return newParent;
  if (hidesName(core, parent, args.name)) return Errno.ENOENT;
  if (hidesName(core, newParent, args.newName)) return Errno.EACCES;
  const node = childOf(core, parent, args.name);
  if (typeof node === "number") return node;
  const target = childOf(core, newParent, args.newName);
  if (typeof target === "number" && target !== Errno.ENOENT) return target;
  const exchange = (args.flags & RENAME.EXCHANGE) !== 0;
  const there = typeof target === "number" ? undefined : target;
  if (exchange && there === undefined) return Errno.ENOENT;
  if (there !== undefined && (args.flags & RENAME.NOREPLACE) !== 0) return Errno.EEXIST;
  return { parent, name: args.name, newParent, newName: args.newName, exchange, node, target: there };
}

function needsCopyUp(core: OperationContext, plan: RenamePlan): Node | undefined {
  const { node, target, newParent, newName } = plan;
  if (!isUp(core, node, plan.parent, plan.name)) return node;
  if (target === undefined) return undefined;
  const ready = plan.exchange ? isUp(core, target, newParent, newName) : !losesItsCount(core, target, newParent, newName);
  return ready ? undefined : target;
}

/** Are the object and this name of it in the upper layer? */
function isUp(core: OperationContext, node: Node, parent: Node, name: ByteName): boolean {
  return node.inUpper && !isBare(core, node, parent, name);
}

function check(core: OperationContext, plan: RenamePlan): number {
  const { node, target, newParent } = plan;
  if (target === node && !plan.exchange) return 0;
  const held = mayTake(core, plan.parent, node) || (target === undefined ? mayAdd(core, newParent) : mayTake(core, newParent, target));
  if (held !== 0) return held;
  const redirects = core.config.redirectDir === "on";
  const moves = (dir: Node): boolean => dir.isDirectory && (dir.isMerged || !dir.inUpper);
  if (!redirects && (moves(node) || (plan.exchange && target !== undefined && moves(target)))) return Errno.EXDEV;
  if (plan.exchange || target === undefined || target === node) return 0;
  if (node.isDirectory && !target.isDirectory) return Errno.ENOTDIR;
  if (!node.isDirectory && target.isDirectory) return Errno.EISDIR;
  return 0;
}

function replacesDirectory({ node, target, exchange }: RenamePlan): boolean {
  return target?.isDirectory === true && target !== node && !exchange;
}

function execute(core: OperationContext, permit: Permit, call: CallContext, plan: RenamePlan): number {
  const { node, target, parent, newParent } = plan;
  // Two names of one inode: rename(2) does nothing and succeeds.
  if (target === node && !plan.exchange) return 0;
  const copied = copyUpDirectory(core, parent) || copyUpDirectory(core, newParent);
  if (copied !== 0) return copied;
  const marked = markMoved(core, plan, node) || (plan.exchange ? markMoved(core, plan, target as Node) : 0);
  if (marked !== 0) return marked;
  const overwritten = plan.exchange ? undefined : target;
  const heldFd = overwritten === undefined ? NO_FD : holdTarget(core, overwritten);
  if (heldFd < 0 && overwritten !== undefined) return -heldFd;
  const cleared = clearForOverwrite(core, permit, plan);
  if (cleared === 0) intendToRename(core, call, plan);
  const status = cleared !== 0 ? cleared : renameReal(core, permit, plan);
  if (status !== 0) {
    if (heldFd >= 0) sys.close(heldFd);
    return status;
  }
  rebook(core, plan, heldFd);
  return 0;
}

const NO_FD = -1;

/** The object that is renamed over may be open: a descriptor of it, or the negative errno. */
function holdTarget(core: OperationContext, target: Node): number {
  const fd = openNode(core, target, O.PATH | O.NOFOLLOW);
  if (fd >= 0 && target.others === undefined) core.journal?.storeFd(target, fd);
  return fd;
}

function renameReal(core: OperationContext, permit: Permit, plan: RenamePlan): number {
  const { renameat2, unlinkat } = effects(permit);
  const from = core.fds.of(plan.parent.upperDir as RealDir);
  const into = core.fds.of(plan.newParent.upperDir as RealDir);
  if (from < 0 || into < 0) return from < 0 ? -from : -into;
  if (plan.exchange) return -renameat2(from, plan.name, into, plan.newName, RENAME.EXCHANGE) || 0;
  const there = statName(into, plan.newName, core.scratchAttr);
  if (there < 0 && there !== -Errno.ENOENT) return -there;
  const whiteoutThere = there === 0 && isAnyWhiteout(core.marks, { dirFd: into, name: plan.newName }, core.scratchAttr);
  const hidesSource = existsBelow(core, plan.parent, plan.name);
  if (whiteoutThere && (hidesSource || plan.node.isDirectory)) {
    // The whiteout at the target is needed at the source, or stands in a directory's way: they change places.
    const status = renameat2(from, plan.name, into, plan.newName, RENAME.EXCHANGE);
    if (status < 0) return -status;
    if (!hidesSource) unlinkat(from, plan.name, 0);
    return 0;
  }
  return -renameat2(from, plan.name, into, plan.newName, hidesSource ? RENAME.WHITEOUT : 0) || 0;
}

function rebook(core: OperationContext, plan: RenamePlan, heldFd: number): void {
  const { node, target, parent, newParent } = plan;
  if (target !== undefined && plan.exchange) {
    move(core, target, { parent: newParent, name: plan.newName }, { parent, name: plan.name });
    move(core, node, { parent, name: plan.name }, { parent: newParent, name: plan.newName });
    parent.children?.set(plan.name, target);
    return;
  }
  if (target !== undefined) forgetName(core, target, { parent: newParent, name: plan.newName, heldFd });
  move(core, node, { parent, name: plan.name }, { parent: newParent, name: plan.newName });
}

interface NameInParent {
  parent: Node;
  name: ByteName;
}

function move(core: OperationContext, node: Node, from: NameInParent, to: NameInParent): void {
  core.nodes.rename(node, from, to);
  arrived(core, to.parent, to.name);
  node.version++;
  // The listing of a directory that the kernel caches says what ".." was.
  if (node.isDirectory && from.parent !== to.parent) core.port.invalidateInode(node.id, 0, 0);
  const upperDir = to.parent.upperDir as RealDir;
  const own = node.upperDir;
  if (own !== undefined) {
    own.parent = upperDir;
    own.name = to.name;
  } else if (node.indexed === undefined && node.parent === to.parent && node.name === to.name) {
    node.dir = upperDir;
    node.realName = to.name;
  }
}
