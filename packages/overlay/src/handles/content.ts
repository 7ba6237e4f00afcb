/**
 * The content of a file, for the gate. Nobody writes to a lower layer; for a file of the upper layer the open files tell, but not of
 * mappings: one that passes through holds the layer's file, and the kernel sends RELEASE although it is still there.
 */
import { O } from "@sluice/vfs";
import type { OpenFiles } from "./handle-table.js";
import type { Content } from "../contract/gate.js";
import { closeFd } from "../layer/system-calls.js";
import type { InodeIo } from "../node/inode-io.js";
import type { Node } from "../node/node.js";
import { openNode } from "../node/open-node.js";

/** Files that somebody could have mapped for writing, and that nobody has mapped: known until the next open that can be mapped so. */
const unmapped = new WeakSet<Node>();

/** An open of the node passes through, and can be mapped for writing. */
export function canBeMapped(node: Node): void {
  unmapped.delete(node);
}

function isBeingWritten(core: OpenFiles, node: Node): boolean {
  if (!node.inUpper) return false;
  if (node.aliases === undefined) return node.io !== undefined && hasWriter(node.io);
  // Opens by aliases of the node are in I/O states of their own.
  for (const file of core.handles.allFiles()) if (file.node === node && file.write) return true;
  return false;
}

function hasWriter(io: InodeIo): boolean {
  for (const file of io.handles) if (file.write) return true;
  return false;
}

export function withDescriptor<T>(core: OpenFiles, node: Node, how: { flags: number; use: (fd: number) => T }): T | number {
  const fd = openNode(core, node, how.flags);
  if (fd < 0) return fd;
  try {
    return how.use(fd);
  } finally {
    closeFd(fd);
  }
}

class FileContent implements Content {
  constructor(
    private readonly core: OpenFiles,
    private readonly node: Node,
    private readonly fd: number | undefined,
  ) {}

  get beingWritten(): boolean {
    return isBeingWritten(this.core, this.node);
  }

  get mayBeMapped(): boolean {
    const { node } = this;
    return node.inUpper && node.writtenPastUs && !unmapped.has(node);
  }

  get ino(): bigint {
    return (BigInt(this.node.inoHi) << 32n) | BigInt(this.node.inoLo);
  }

  foundUnmapped(): void {
    if (!this.beingWritten) unmapped.add(this.node);
  }

  withDescriptor<T>(use: (fd: number) => T): T | number {
    const { core, node, fd } = this;
    return fd === undefined ? withDescriptor(core, node, { flags: O.RDONLY | O.NOFOLLOW, use }) : use(fd);
  }
}

/** `fd`: a descriptor that stays open as long as somebody looks at the content. */
export function contentOf(core: OpenFiles, node: Node, fd?: number): Content | undefined {
  return node.isRegular ? new FileContent(core, node, fd) : undefined;
}
