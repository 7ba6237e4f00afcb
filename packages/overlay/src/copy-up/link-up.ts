/** Gives the names of a file in the index their links in the upper layer (fs/overlayfs/copy_up.c ovl_link_up). */
import { Attr, type ByteName, Errno, inTurns, type Status } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import { statFd, statName, upkeep } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import { writeNlink } from "../node/link-index.js";
import type { Dentry, IndexEntry, Node } from "../node/node.js";
import { copyUpDirectory } from "./copy-up-directory.js";
import { noteName } from "./note-base.js";
import { markImpure, restoreTimes } from "./touched-parent.js";

const attr = new Attr();
const parentAttr = new Attr();

/**
 * Links all names that are known, since nobody can tell by which of them a file was opened: a name without a link would show the
 * lower file to whoever reads the upper layer without its index. 0 or a positive errno; a promise if there are many names.
 */
export function linkUp(core: CopyUpContext, node: Node): Status {
  if (node.indexed?.bareNames !== true) return 0;
  if (node.indexed.full) return Errno.EMLINK;
  const linked = inTurns(linkNames(core, node, node.indexed));
  if (typeof linked === "number") return linked;
  core.nodes.hold(node);
  return linked.finally(() => core.nodes.release(node));
}

/** Yields after each name. Other callers rename, remove and discover names between two turns. */
function* linkNames(core: CopyUpContext, node: Node, indexed: IndexEntry): Generator<void, number> {
  const done = new Map<Node, Set<ByteName>>();
  for (let names = unlinkedNames(node, done); names.length > 0; names = unlinkedNames(node, done)) {
    const { parent: firstParent, name: firstName, others } = node;
    for (const { parent, name } of names) {
      const status = copyUpDirectory(core, parent) || linkName(core, node, { parent, name });
      if (status === Errno.EMLINK) indexed.full = true;
      if (status !== 0) return status;
      const inParent = done.get(parent);
      if (inParent === undefined) done.set(parent, new Set([name]));
      else inParent.add(name);
      yield;
      // The last name went meanwhile, or the list of names is another one.
      if (node.indexed !== indexed) return 0;
      if (node.parent !== firstParent || node.name !== firstName || node.others !== others) break;
    }
  }
  indexed.bareNames = false;
  return 0;
}

function unlinkedNames(node: Node, done: ReadonlyMap<Node, ReadonlySet<ByteName>>): Dentry[] {
  const names: Dentry[] = node.parent === undefined ? [] : [{ parent: node.parent, name: node.name }];
  names.push(...(node.others ?? []));
  return names.filter(({ parent, name }) => done.get(parent)?.has(name) !== true);
}

function linkName(core: CopyUpContext, node: Node, name: Dentry): number {
  const index = core.linkIndex as RealDir;
  const indexed = node.indexed as IndexEntry;
  const into = core.fds.of(name.parent.upperDir as RealDir);
  if (into < 0) return -into;
  const entry = { fd: index.fd, name: node.realName };
  // The link may have been made, and the count not been written.
  if (statName(into, name.name, attr) === 0) return -writeNlink(core, entry, { to: "U", delta: indexed.nlinkDelta }) || 0;
  if (statName(index.fd, node.realName, attr) < 0) return Errno.EIO;
  const shown = attr.nlink + indexed.nlinkDelta;
  noteName(core, node, name);
  markImpure(core, name.parent);
  // While the upper file's count changes, the count is told by the lower one's, which does not.
  let status = writeNlink(core, entry, { to: "L", delta: shown - indexed.lowerNlink });
  if (status < 0) return -status;
  const known = statFd(into, parentAttr) === 0;
  status = upkeep.linkat(index.fd, node.realName, into, name.name, 0);
  if (status < 0) {
    writeNlink(core, entry, { to: "U", delta: indexed.nlinkDelta });
    return -status;
  }
  if (known) restoreTimes(into, parentAttr);
  indexed.nlinkDelta--;
  return -writeNlink(core, entry, { to: "U", delta: indexed.nlinkDelta }) || 0;
}
