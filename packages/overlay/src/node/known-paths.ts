/** Every path that a file may be opened by, as far as the mount knows: what policy judges. */
import type { Attr } from "@sluice/vfs";
import type { Core } from "../core.js";
import { lowerLinkKey } from "./admit.js";
import { type Node, pathsOf } from "./node.js";

/** The node's paths; with `attr` also those of the other nodes that share its lower inode. Never empty, the node's own first. */
export function knownPaths(core: Core, node: Node, attr: Attr | undefined): string[] {
  const paths = pathsOf(node);
  if (attr === undefined || attr.nlink < 2 || node.inUpper) return paths;
  for (const other of core.nodes.lowerLinks(lowerLinkKey(node.top.layer, attr)) ?? []) {
    if (other !== node && !other.inUpper) paths.push(...pathsOf(other));
  }
  return paths;
}
