/** UNLINK and RMDIR. An object of a lower layer cannot go away: a whiteout hides it. */
import { andThen, AT, Attr, type ByteName, type CallContext, Errno, type NodeId, O, RENAME, S, type Status } from "@sluice/vfs";
import { copyUp } from "../copy-up/copy-up.js";
import { copyUpDeep, copyUpDirectory } from "../copy-up/copy-up-directory.js";
import { noteHidden } from "../copy-up/note-base.js";
import type { OperationContext } from "./operation-context.js";
import { intentOn } from "../gate/describe-access.js";
import { govern } from "../gate/govern.js";
import { GovernedOperation } from "../gate/governed-operation.js";
import { governsAny } from "../gate/governs.js";
import { type GovernedAccess, NO_ACCESS } from "../gate/judged-accesses.js";
import { hidesName } from "../gate/hidden.js";
import { intendToRemove } from "../journal/intents.js";
import { effects, statFd, sys } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import type { RealDir } from "../layer/host-layer.js";
import { putWhiteout } from "../marks/shared-whiteout.js";
import { existsBelow } from "../merge/find.js";
import { dropLastIndexed, losesItsCount } from "../node/link-index.js";
import { type Node, pathAt } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { childOf, directoryOf } from "./lookup.js";
import { EmptyProof } from "./prove-empty.js";
import { mayTake } from "../node/protection.js";

export function unlink(core: OperationContext, call: CallContext, parentId: NodeId, name: ByteName): Status {
  return govern(core, new Removing(call, { parentId, name, directory: false }));
}

export function rmdir(core: OperationContext, call: CallContext, parentId: NodeId, name: ByteName): Status {
  return govern(core, new Removing(call, { parentId, name, directory: true }));
}

const held = new Attr();

interface RemovedName {
  parentId: NodeId;
  name: ByteName;
  directory: boolean;
}

class Removing extends GovernedOperation<OperationContext> {
  #isEmpty: EmptyProof | undefined = undefined;

  constructor(
    call: CallContext,
    private readonly removed: RemovedName,
  ) {
    super(call);
  }

  protected accesses(core: OperationContext): readonly GovernedAccess[] | number {
    const { parentId, name, directory } = this.removed;
    const parent = directoryOf(core, parentId);
    if (typeof parent === "number") return parent;
    if (core.upper === undefined) return Errno.EROFS;
    if (hidesName(core, parent, name)) return Errno.ENOENT;
    if (!governsAny(core.gate, "delete")) return NO_ACCESS;
    const node = childOf(core, parent, name);
    if (typeof node === "number") return node;
    const operation = directory ? "rmdir" : "unlink";
    return [{ intent: intentOn(core, node, { operation, accesses: ["delete"], path: pathAt(parent, name) }), node }];
  }

  override holds(core: OperationContext): boolean {
    return this.#isEmpty?.holds !== false && super.holds(core);
  }

  /** A name among several in a lower layer: copied up first, since only there the count of the others can be stored (ovl_nlink_start). */
  override prepare(core: OperationContext, permit: Permit): Status {
    const { parentId, name, directory } = this.removed;
    const parent = directoryOf(core, parentId);
    if (typeof parent === "number") return parent;
    const above = copyUpDeep(core, parent);
    if (above !== 0) return andThen(above, (status) => (status !== 0 ? status : this.prepare(core, permit)));
    if (core.linkIndex === undefined && !directory) return 0;
    const node = childOf(core, parent, name);
    if (typeof node === "number") return node;
    // `commit` finds out that it is none.
    if (directory) return node.isDirectory ? mayTake(core, parent, node) || this.#proveEmpty(core, node) : 0;
    if (!losesItsCount(core, node, parent, name)) return 0;
    return copyUp(core, node, { permit, call: this.call, truncate: false, metadataOnly: true, moves: { parent, name } });
  }

  commit(core: OperationContext, permit: Permit): number {
    const { parentId, name, directory } = this.removed;
    const parent = directoryOf(core, parentId);
    if (typeof parent === "number") return parent;
    const node = childOf(core, parent, name);
    if (typeof node === "number") return node;
    if (node.isDirectory !== directory) return directory ? Errno.ENOTDIR : Errno.EISDIR;
    const held = mayTake(core, parent, node);
    if (held !== 0) return held;
    if (directory && this.#isEmpty?.covers(node) !== true) return Errno.ENOTEMPTY;
    return copyUpDirectory(core, parent) || removeNow(core, permit, this.call, { parent, name, node });
  }

  end(): void {
    this.#isEmpty?.end();
    this.#isEmpty = undefined;
  }

  #proveEmpty(core: OperationContext, node: Node): Status {
    this.#isEmpty = new EmptyProof(core, node);
    return this.#isEmpty.look(this.call);
  }
}

function removeNow(core: OperationContext, permit: Permit, call: CallContext, which: NameInParent & { node: Node }): number {
  const { node } = which;
  const heldFd = openNode(core, node, O.PATH | O.NOFOLLOW);
  if (heldFd < 0) return -heldFd;
  if (node.others === undefined) core.journal?.storeFd(node, heldFd);
  noteHidden(core, node, heldFd);
  intendToRemove(core, call, which);
  const status = node.isDirectory ? removeDirectory(core, permit, node, which) : removeFile(core, permit, node, which);
  if (status < 0) {
    sys.close(heldFd);
    return -status;
  }
  forgetName(core, node, { parent: which.parent, name: which.name, heldFd });
  return 0;
}

interface NameInParent {
  parent: Node;
  name: ByteName;
}

function removeFile(core: OperationContext, permit: Permit, node: Node, at: NameInParent): number {
  const into = core.fds.of(at.parent.upperDir as RealDir);
  if (into < 0) return into;
  if (!node.inUpper) return putWhiteout(core, into, at.name);
  if (!existsBelow(core, at.parent, at.name)) return effects(permit).unlinkat(into, at.name, 0);
  return replaceByWhiteout(core, permit, { into, name: at.name, exchange: false });
}

function removeDirectory(core: OperationContext, permit: Permit, node: Node, at: NameInParent): number {
  const into = core.fds.of(at.parent.upperDir as RealDir);
  if (into < 0) return into;
  if (node.upperDir === undefined) return putWhiteout(core, into, at.name);
  if (existsBelow(core, at.parent, at.name)) return replaceByWhiteout(core, permit, { into, name: at.name, exchange: true });
  const status = effects(permit).unlinkat(into, at.name, AT.REMOVEDIR);
  return status === -Errno.ENOTEMPTY ? takeAway(core, permit, { into, name: at.name }) : status;
}

/** Only whiteouts are left in it. They go out of sight first, since without them the hidden entries would show. */
function takeAway(core: OperationContext, permit: Permit, { into, name }: { into: number; name: ByteName }): number {
  const scratch = core.fds.of(core.scratch as RealDir);
  const away = core.scratchName();
  const status = scratch < 0 ? scratch : effects(permit).renameat2(into, name, scratch, away, 0);
  if (status >= 0) core.purges.start(core, away);
  return status;
}

/**
 * Replaces an object by a whiteout in one step, so that the layers below never show. A directory cannot be renamed
 * over: it changes places with the whiteout and is cleared in the scratch directory.
 */
function replaceByWhiteout(core: OperationContext, permit: Permit, target: { into: number; name: ByteName; exchange: boolean }): number {
  const scratch = core.fds.of(core.scratch as RealDir);
  const name = core.scratchName();
  let status = scratch < 0 ? scratch : putWhiteout(core, scratch, name);
  if (status < 0) return status;
  status = effects(permit).renameat2(scratch, name, target.into, target.name, target.exchange ? RENAME.EXCHANGE : 0);
  if (status < 0) effects(permit).unlinkat(scratch, name, 0);
  else if (target.exchange) core.purges.start(core, name);
  return status;
}

/** It is one link less if others are left. Asked only if there are any in the layer. */
function countLostLink({ top: { layer } }: Node, fd: number): void {
  if (layer.writable && layer.extraLinks > 0 && statFd(fd, held) === 0 && (held.mode & S.IFMT) !== S.IFDIR && held.nlink > 0)
    layer.extraLinks--;
}

/** The name is gone. A node without any name left lives by its descriptor until the kernel forgets it. */
export function forgetName(core: OperationContext, node: Node, gone: NameInParent & { heldFd: number }): void {
  const path = pathAt(gone.parent, gone.name);
  node.version++;
  countLostLink(node, gone.heldFd);
  dropLastIndexed(core, node);
  if (core.nodes.detach(node, gone.parent, gone.name)) {
    sys.close(gone.heldFd);
    if (node.dirs === undefined && node.inUpper && node.indexed === undefined) {
      node.dir = node.parent?.upperDir;
      node.realName = node.name;
    }
    return;
  }
  core.backings.drop(node);
  node.lastPath = path;
  if (node.fd >= 0) sys.close(node.fd);
  node.fd = gone.heldFd;
  core.journal?.nameless(node);
  for (const dir of node.dirs ?? []) core.fds.drop(dir);
  core.nodes.letGo(node);
}
