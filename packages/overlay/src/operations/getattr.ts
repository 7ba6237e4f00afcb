/** GETATTR, and how a node's attributes are presented to callers. */
import type { Attr, AttrOut, NodeId } from "@sluice/vfs";
import type { IoContext } from "../io/io-context.js";
import { countDirectories } from "../merge/listing.js";
import { shownLinks } from "../node/link-index.js";
import { visibleNode } from "../gate/hidden.js";
import type { Node } from "../node/node.js";
import { showBlocksOfData } from "../node/open-data.js";
import { statOwn } from "./revalidate.js";

export function getattr(core: IoContext, id: NodeId, out: AttrOut): number {
  const node = visibleNode(core, id);
  if (typeof node === "number") return node;
  const status = statOwn(core, node, out.attr);
  if (status < 0) return -status;
  out.attrTtlMs = present(core, node, out.attr);
  return 0;
}

/**
 * Turns a layer object's attributes into the node's: the inode number that stays over copy-up, 1 link for a merged
 * directory (its layers' counts add up to nothing) unless its links are counted, the links of all layers for a file in the index.
 * Returns how long the kernel may cache them, in ms.
 */
export function present(core: IoContext, node: Node, attr: Attr): number {
  attr.setIno(node.inoLo, node.inoHi);
  if (node.isMerged) attr.nlink = core.config.countsLinks ? linksOf(core, node) : 1;
  attr.nlink = shownLinks(node, attr.nlink);
  if (node.data !== undefined) showBlocksOfData(core, node.data, attr);
  return attrTtlMs(core, node);
}

/** As on one file system: "." and the name of the directory, and ".." of each directory in it. 1 is "not counted". */
function linksOf(core: IoContext, node: Node): number {
  const directories = node.unlinked ? undefined : countDirectories(core, node);
  return directories === undefined ? 1 : 2 + directories;
}

/**
 * Not at all once the file was granted for reading and writing, since a mapping changes it without telling anybody, nor while
 * it has several ids, as the kernel does not know that they are one file.
 */
export function attrTtlMs(core: IoContext, node: Node): number {
  return node.writtenPastUs || node.aliases !== undefined ? 0 : core.config.attrTtlMs;
}
