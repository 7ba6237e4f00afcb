/** Gives the names of a file in the index their links in the upper layer (fs/overlayfs/copy_up.c ovl_link_up). */
import { Attr, Errno } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import { statFd, statName, upkeep } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import { writeNlink } from "../node/link-index.js";
import type { Dentry, IndexEntry, Node } from "../node/node.js";
import { copyUpDirectory } from "./copy-up-directory.js";
import { markImpure, restoreTimes } from "./touched-parent.js";

const attr = new Attr();
const parentAttr = new Attr();

/**
 * All names that are known, since nobody can tell by which of them a file was opened: a name without a link would show the
 * lower file to whoever reads the upper layer without its index. 0 or a positive errno.
 */
export function linkUp(core: CopyUpContext, node: Node): number {
  const indexed = node.indexed as IndexEntry;
  const names: Dentry[] = node.parent === undefined ? [] : [{ parent: node.parent, name: node.name }];
  names.push(...(node.others ?? []));
  for (const name of names) {
    const status = copyUpDirectory(core, name.parent) || linkName(core, node, name);
    if (status !== 0) return status;
  }
  indexed.bareNames = false;
  return 0;
}

function linkName(core: CopyUpContext, node: Node, name: Dentry): number {
  const index = core.linkIndex as RealDir;
  const indexed = node.indexed as IndexEntry;
  const into = core.fds.of(name.parent.upperDir as RealDir);
  if (into < 0) return -into;
  if (statName(into, name.name, attr) === 0) return 0;
  if (statName(index.fd, node.realName, attr) < 0) return Errno.EIO;
  const shown = attr.nlink + indexed.nlinkDelta;
  const entry = { fd: index.fd, name: node.realName };
  markImpure(core, name.parent);
  // While the upper file's count changes, the count is told by the lower one's, which does not.
  let status = writeNlink(core, entry, { to: "L", delta: shown - indexed.lowerNlink });
  if (status < 0) return -status;
  const known = statFd(into, parentAttr) === 0;
  status = upkeep.linkat(index.fd, node.realName, into, name.name, 0);
  if (status < 0) return -status;
  if (known) restoreTimes(into, parentAttr);
  indexed.nlinkDelta--;
  return -writeNlink(core, entry, { to: "U", delta: indexed.nlinkDelta }) || 0;
}
