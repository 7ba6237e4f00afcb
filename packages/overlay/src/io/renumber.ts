/** Gives a node another nodeId, if passthrough opens tie its present one to the file from before a copy-up. */
import type { KernelPort } from "@sluice/vfs";
import type { HostLayer } from "../layer/host-layer.js";
import { InodeIo } from "../node/inode-io.js";
import type { Node } from "../node/node.js";
import type { NodeTable } from "../node/node-table.js";

interface RenumberedNodes {
  readonly nodes: NodeTable;
  readonly port: Pick<KernelPort, "invalidateInode">;
}

/** Gives the node another nodeId. Attributes that the kernel caches for the old one would not follow the new one's changes. */
export function giveNewId(core: RenumberedNodes, node: Node): void {
  const old = node.id;
  core.nodes.renumber(node, node.io ?? new InodeIo());
  core.port.invalidateInode(old, -1, 0);
}

/** Is the node, by its own nodeId, tied to a file of another layer than the one that its object lies in? */
export function needsNewId(node: Node): boolean {
  return isTiedElsewhere(node.io, node.dataLayer);
}

/** Do opens pass through to a file of another layer than the one that serves the node's opens now? */
export function isTiedElsewhere(io: InodeIo | undefined, layer: HostLayer | undefined): boolean {
  return io !== undefined && io.passthrough > 0 && io.backing !== undefined && io.backing.layer !== layer;
}
