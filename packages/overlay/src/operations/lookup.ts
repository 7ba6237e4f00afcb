/** LOOKUP, and the one way every operation finds a child by name. */
import { type ByteName, type EntryOut, Errno, NAME_MAX, type NodeId } from "@sluice/vfs";
import type { IoContext } from "../io/io-context.js";
import { hidesName, hidesNode } from "../gate/hidden.js";
import { find } from "../merge/find.js";
import { Found } from "../node/found.js";
import { admit } from "../node/admit.js";
import type { Node } from "../node/node.js";
import { statNode } from "../node/open-node.js";
import { present } from "./getattr.js";
import { isGone, dropDentry, revalidate } from "./revalidate.js";

const found = new Found();

export function lookup(core: IoContext, parentId: NodeId, name: ByteName, out: EntryOut): number {
  if (name === "." || name === "..") return lookUpById(core, parentId, name, out);
  const parent = directoryOf(core, parentId);
  if (typeof parent === "number") return parent;
  if (name.length > NAME_MAX) return Errno.ENAMETOOLONG;
  // The kernel does not remember it, since it may be shown by the next policy.
  if (hidesName(core, parent, name)) return Errno.ENOENT;
  return lookUpIn(core, parent, name, out);
}

/** LOOKUP of a name that is not hidden, in a directory that has names. */
export function lookUpIn(core: IoContext, parent: Node, name: ByteName, out: EntryOut): number {
  const known = core.nodes.child(parent, name);
  if (known !== undefined && core.config.sharedLower) {
    const status = revalidate(core, known, { parent, name }, found);
    out.attr.copyFrom(found.attr);
    if (status === 0) return enter(core, known, out);
    if (!isGone(status)) return -status;
    dropDentry(core, known, { parent, name });
  } else if (known !== undefined) {
    const status = statNode(core, known, out.attr);
    if (status === 0) return enter(core, known, out);
    // A layer that cannot be read tells nothing about the node, which may be open.
    if (!isGone(status)) return -status;
    // Somebody changed the layer behind our back: the known node is out of date.
    core.nodes.detach(known, parent, name);
  }
  const errno = find(core, parent, name, found);
  if (errno !== 0) return errno;
  if (found.kind === 0) return absent(core, out);
  const node = admit(core, { parent, name }, found);
  out.attr.copyFrom(found.attr);
  return enter(core, node, out);
}

/** "." and "..": the kernel has a file handle, or a directory that it reached by one. */
function lookUpById(core: IoContext, id: NodeId, name: "." | "..", out: EntryOut): number {
  const node = recalled(core, id);
  const wanted = name === "." ? node : node?.parent;
  if (wanted === undefined || hidesNode(core, wanted)) return Errno.ESTALE;
  const status = statNode(core, wanted, out.attr);
  if (status === 0) return enter(core, wanted, out);
  core.nodes.letGo(wanted);
  return -status;
}

/** A node by its id, found again where the kernel forgot it, by any of the names it had; see ForgottenNodes. */
function recalled(core: IoContext, id: NodeId): Node | undefined {
  const known = core.nodes.get(id);
  if (known !== undefined) return known;
  for (const name of core.nodes.forgotten.get(id)?.names ?? []) {
    const parent = recalledDirectory(core, name.parentId);
    const node = parent === undefined ? undefined : recalledChild(core, parent, { id, name: name.name });
    if (node !== undefined) return node;
  }
  return undefined;
}

/** The same of a directory, which has one name. No recursion, as trees can be deeper than the stack. */
function recalledDirectory(core: IoContext, id: NodeId): Node | undefined {
  const path: { id: NodeId; name: ByteName }[] = [];
  let at = core.nodes.get(id);
  for (let next: NodeId = id; at === undefined; at = core.nodes.get(next)) {
    const name = core.nodes.forgotten.get(next)?.names[0];
    if (name === undefined) return undefined;
    path.push({ id: next, name: name.name });
    next = name.parentId;
  }
  for (let step = path.pop(); step !== undefined && at !== undefined; step = path.pop()) at = recalledChild(core, at, step);
  return at;
}

function recalledChild(core: IoContext, parent: Node, wanted: { id: NodeId; name: ByteName }): Node | undefined {
  if (!parent.isDirectory || parent.unlinked) return undefined;
  const child = childOf(core, parent, wanted.name);
  if (typeof child === "number") return undefined;
  if (child.id === wanted.id) return child;
  core.nodes.letGo(child);
  return undefined;
}

/** Fills an entry for a node whose object's attributes are in `out.attr`, and counts the reference the kernel gets. */
export function enter(core: IoContext, node: Node, out: EntryOut): number {
  core.nodes.enter(node);
  out.nodeId = node.id;
  out.generation = 0;
  out.entryTtlMs = core.config.entryTtlMs;
  out.attrTtlMs = present(core, node, out.attr);
  return 0;
}

/** A name that is not there: the kernel may remember that. */
function absent(core: IoContext, out: EntryOut): number {
  if (core.config.negativeTtlMs === 0) return Errno.ENOENT;
  out.nodeId = 0;
  out.generation = 0;
  out.entryTtlMs = core.config.negativeTtlMs;
  out.attrTtlMs = 0;
  return 0;
}

/** The directory behind a nodeId, or the errno that says why it is none. */
export function directoryOf(core: IoContext, id: NodeId): Node | number {
  const node = core.nodes.get(id);
  if (node === undefined) return Errno.ESTALE;
  if (!node.isDirectory) return Errno.ENOTDIR;
  return node.unlinked ? Errno.ENOENT : node;
}

/** A child by name, searched for if it is not known; the errno if there is none. Counts no reference. */
export function childOf(core: IoContext, parent: Node, name: ByteName): Node | number {
  if (name.length > NAME_MAX) return Errno.ENAMETOOLONG;
  const known = core.nodes.child(parent, name);
  if (known !== undefined) return known;
  const errno = find(core, parent, name, found);
  if (errno !== 0) return errno;
  return found.kind === 0 ? Errno.ENOENT : admit(core, { parent, name }, found);
}
