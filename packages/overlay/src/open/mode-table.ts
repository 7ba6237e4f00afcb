/**
 * The I/O mode of an open, by the inode's other opens and the ruling: a total function, as data.
 *
 * The kernel (fs/fuse/iomode.c) holds an inode in one mode at a time: cached, or tied to one backing file. A reply that does
 * not fit is EIO for the application. The kernel would take a direct open beside either, but here each has an inode of its own:
 * - a private mapping of a direct open, and splice(2), read the inode's pages, whichever open brought them; such a read is
 *   neither audited nor throttled;
 * - the kernel takes replies in any order, and refuses a direct one that it sees after a passthrough one.
 *
 * docs/io-modes.md shows the table to users. test/passthrough/mode-table.test.ts checks each cell on a real mount.
 */
import type { InodeIo } from "../node/inode-io.js";
import type { Node } from "../node/node.js";

/** The mode that the opens of one nodeId hold its inode in. A mapping that outlived its descriptor does not count: it needs no reply. */
export type InodeMode = "nothing" | "cached" | "direct" | "passthrough";
/** The request of a ruling: granted; mediated; mediated and observed, so that no byte may bypass the daemon, not even by a mapping. */
export type RequestedMode = "grant" | "mediate" | "observe";

export type ModeOutcome =
  /** The kernel does the I/O. If the file cannot be registered, the open is mediated and the errno is counted. */
  | "passthrough"
  /** The daemon does reads and writes; mappings reach the backing file. */
  | "passthrough-direct"
  /** Through the kernel's page cache. */
  | "cached"
  /** The same, although it was granted: counted. */
  | "cached, counted"
  /** The daemon does each read and write; a shared mapping fails. */
  | "direct"
  /** By another nodeId of the same file, with the same inode number: see plan-open.ts. */
  | "another node";

const MODE_TABLE: Readonly<Record<InodeMode, Readonly<Record<RequestedMode, ModeOutcome>>>> = {
  nothing: { grant: "passthrough", mediate: "cached", observe: "direct" },
  cached: { grant: "cached, counted", mediate: "cached", observe: "another node" },
  direct: { grant: "another node", mediate: "another node", observe: "another node" },
  passthrough: { grant: "passthrough", mediate: "passthrough-direct", observe: "another node" },
};

/** `io`: of the nodeId that the open comes by; undefined if nothing was opened by it yet. */
export function outcomeOf(node: Node, io: InodeIo | undefined, requested: RequestedMode): ModeOutcome {
  const mode = inodeMode(io);
  // Pages of the file's other nodeIds do not follow what bypasses the daemon.
  const isCached = mode === "nothing" && requested === "grant" && hasPages(node);
  return MODE_TABLE[isCached ? "cached" : mode][requested];
}

function hasPages({ io, aliases }: Node): boolean {
  return (io?.cached ?? 0) > 0 || aliases?.some((alias) => alias.io.cached > 0) === true;
}

export function inodeMode(io: InodeIo | undefined): InodeMode {
  if (io === undefined) return "nothing";
  if (io.passthrough > 0) return "passthrough";
  if (io.cached > 0) return "cached";
  return io.direct > 0 ? "direct" : "nothing";
}
