/** LINK: one more name for an object of the upper layer. */
import { andThen, AT, type CallContext, type EntryOut, Errno, type NodeId, type Status } from "@sluice/vfs";
import { copyUpDeep } from "../copy-up/copy-up-directory.js";
import { copyUp } from "../copy-up/copy-up.js";
import { markImpure } from "../copy-up/touched-parent.js";
import type { OperationContext } from "./operation-context.js";
import { intentOn } from "../gate/describe-access.js";
import { govern, type Governed } from "../gate/govern.js";
import { governsMove } from "../gate/governs.js";
import { hidesName, visibleNode } from "../gate/hidden.js";
import { MoveComparison } from "../gate/move-comparison.js";
import { IntentKind, intendToLink, intentLeft } from "../journal/intents.js";
import { effects, statName, sys } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import { rememberUpperLink } from "../node/admit.js";
import { type Node, pathAt } from "../node/node.js";
import { aim, statNode } from "../node/open-node.js";
import { arrived } from "./arrivals.js";
import { createObject } from "./create-object.js";
import { directoryOf, enter } from "./lookup.js";
import type { At } from "./make.js";
import { redirectData } from "./mark-moved.js";

export function link(core: OperationContext, call: CallContext, request: { node: NodeId; at: At }, out: EntryOut): Status {
  return govern(core, new Linking(call, request, out));
}

interface NewName {
  node: Node;
  parent: Node;
  name: string;
}

class Linking implements Governed<OperationContext> {
  #comparison: MoveComparison | undefined = undefined;
  /** It had a name when the request came: the one that the caller gave. */
  #named: boolean | undefined = undefined;

  constructor(
    readonly call: CallContext,
    private readonly request: { node: NodeId; at: At },
    private readonly out: EntryOut,
  ) {}

  judge(core: OperationContext): Status {
    const newName = this.#newName(core);
    if (typeof newName === "number") return newName;
    this.#comparison = governsMove(core.gate) ? compare(core, newName) : undefined;
    return this.#comparison?.judge(core, this.call) ?? 0;
  }

  holds(core: OperationContext): boolean {
    const newName = this.#newName(core);
    return typeof newName !== "number" && this.#comparison?.holds(core, this.call, compare(core, newName)) !== false;
  }

  prepare(core: OperationContext, permit: Permit): Status {
    const newName = this.#newName(core);
    if (typeof newName === "number") return newName;
    const { node, parent } = newName;
    // Data is found by a name of its file.
    const copied = copyUp(core, node, { permit, call: this.call, truncate: false, metadataOnly: node.parent !== undefined });
    return andThen(copied, (status) => (status !== 0 ? status : copyUpDeep(core, parent)));
  }

  commit(core: OperationContext, permit: Permit): number {
    const newName = this.#newName(core);
    return typeof newName === "number" ? newName : linkNow(core, permit, { ...newName, call: this.call }, this.out);
  }

  /** The name that led to the object may go while somebody is asked: there is nothing to link then (fs/namei.c vfs_link). */
  #newName(core: OperationContext): NewName | number {
    const { at } = this.request;
    const node = visibleNode(core, this.request.node);
    const parent = directoryOf(core, at.parent);
    if (typeof node === "number") return node;
    if (typeof parent === "number") return parent;
    if (core.upper === undefined) return Errno.EROFS;
    if (hidesName(core, parent, at.name)) return Errno.EACCES;
    if (node.isDirectory) return Errno.EPERM;
    // It had a name. Only an object of the upper layer may have come without one (O_TMPFILE).
    if (node.unlinked && !node.inUpper) return Errno.ENOENT;
    this.#named ??= !node.unlinked;
    return this.#named && node.unlinked ? Errno.ENOENT : { node, parent, name: at.name };
  }
}

function compare(core: OperationContext, { node, parent, name }: NewName): MoveComparison {
  const { operation: _, accesses: __, ...source } = intentOn(core, node, { operation: "link", accesses: ["link"] });
  return new MoveComparison(core.gate, { operation: "link", node, source, targetPath: pathAt(parent, name) });
}

/** Does the name lead to the node's object already? An earlier process was about to make it. */
function isThere(core: OperationContext, { node, parent, name }: NewName): boolean {
  const dirFd = parent.upperDir === undefined ? -1 : core.fds.of(parent.upperDir);
  if (dirFd < 0 || statName(dirFd, name, core.scratchAttr) < 0) return false;
  const { ino } = core.scratchAttr;
  return statNode(core, node, core.scratchAttr) === 0 && core.scratchAttr.ino === ino;
}

function linkNow(core: OperationContext, permit: Permit, newName: NewName & { call: CallContext }, out: EntryOut): number {
  const { call, node, parent, name } = newName;
  const make = (by: Permit, dirFd: number, linkName: string): number => {
    const from = aim(core, node);
    if (from.fd < 0) return from.fd;
    return effects(by).linkat(from.fd, from.name, dirFd, linkName, from.name === "" ? AT.EMPTY_PATH : 0);
  };
  const redirected = redirectData(core, node, false);
  if (redirected !== 0) return redirected;
  const begun = intentLeft(core, call, IntentKind.link) !== undefined && isThere(core, newName);
  intendToLink(core, call, newName);
  const creation = { call, parent, name, umask: 0, directory: false, asDaemon: true, attr: out.attr, make };
  const made = begun ? statNode(core, node, out.attr) : createObject(core, permit, creation);
  if (made < 0) return -made;
  markImpure(core, parent);
  if (node.fd >= 0) {
    // An object without a name (O_TMPFILE, or its last one was removed) has one now.
    sys.close(node.fd);
    node.fd = -1;
    node.lastPath = undefined;
    if (node.indexed === undefined) {
      node.dir = parent.upperDir;
      node.realName = name;
    }
  }
  if (core.nodes.child(parent, name) !== node) core.nodes.attach(node, parent, name);
  core.journal?.nameless(node);
  arrived(core, parent, name);
  node.version++;
  if (out.attr.nlink > 1) node.top.layer.extraLinks++;
  rememberUpperLink(core, node, out.attr);
  return enter(core, node, out);
}
