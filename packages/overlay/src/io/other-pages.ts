/** Pages that the kernel caches for other nodeIds of a file. They do not follow what an open by this nodeId does, so they are dropped. */
import type { FileOffset, NodeId } from "@sluice/vfs";
import type { InodeIo } from "../node/inode-io.js";
import type { Node } from "../node/node.js";
import type { IoContext } from "./io-context.js";

/** `length` 0: all that follows. */
export interface ChangedRange {
  offset: FileOffset;
  length: number;
}

/** The bytes of this range were changed by `nodeId`. */
export function dropOtherPages(core: Pick<IoContext, "port">, { node, nodeId }: { node: Node; nodeId: NodeId }, range: ChangedRange): void {
  if (node.aliases === undefined) return;
  dropPages(core, node.id === nodeId ? undefined : node, range);
  for (const alias of node.aliases) dropPages(core, alias.id === nodeId ? undefined : alias, range);
}

function dropPages(
  core: Pick<IoContext, "port">,
  other: { id: NodeId; io: InodeIo | undefined } | undefined,
  { offset, length }: ChangedRange,
): void {
  // A mapping or a splice of a direct open brings pages, too; see docs/io-modes.md.
  if (other?.io === undefined || other.io.cached + other.io.direct === 0) return;
  core.port.invalidateInode(other.id, Number(offset), length);
}
