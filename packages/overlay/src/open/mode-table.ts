/**
 * Which I/O mode an open gets, from what is open of the inode and what was granted: a total function, as data.
 *
 * The kernel (fs/fuse/iomode.c) has an inode in one mode at a time, cached or tied to one backing file; a reply that does
 * not fit is EIO for the application. Direct opens go with either, but have an inode each here: a private mapping of one, and
 * splice(2), find the inode's pages whoever brought them, and what is found there is neither told nor slowed down. Besides, the
 * kernel takes replies in any order, and refuses a direct one that it sees after a passthrough one. docs/io-modes.md shows the
 * table to people.
 */
import type { Node } from "../node/node.js";
import type { InodeIo } from "../io/inode-io.js";

/** What is open of one nodeId. Mappings that outlived their descriptor count as nothing: the kernel lets them go on by themselves. */
export type Live = "nothing" | "cached" | "direct" | "passthrough";
/** Granted; mediated; mediated with bytes that must not pass the daemon by, not even through a mapping. */
export type Wish = "grant" | "mediate" | "observe";

export type ModeOutcome =
  /** The kernel does the I/O; a file that cannot be registered is mediated, counted by its errno. */
  | "passthrough"
  /** Reads and writes come to us, mappings go to the backing file. */
  | "passthrough-direct"
  /** Through the kernel's page cache. */
  | "cached"
  /** The same, though it was granted: counted. */
  | "cached, counted"
  /** Each read and write comes to us; nothing can be mapped shared. */
  | "direct"
  /** By another nodeId of the same file, with the same inode number: see route-open.ts. */
  | "another node";

export const MODE_TABLE: Readonly<Record<Live, Readonly<Record<Wish, ModeOutcome>>>> = {
  nothing: { grant: "passthrough", mediate: "cached", observe: "direct" },
  cached: { grant: "cached, counted", mediate: "cached", observe: "another node" },
  direct: { grant: "another node", mediate: "another node", observe: "another node" },
  passthrough: { grant: "passthrough", mediate: "passthrough-direct", observe: "another node" },
};

/** What an open by this id of a node finds. Pages that another of its ids has do not follow what passes through. */
export function liveFor(node: Node, io: InodeIo | undefined, wish: Wish): Live {
  const live = liveOf(io);
  const pagesElsewhere = live === "nothing" && wish === "grant" && node.formers !== undefined && hasPages(node);
  return pagesElsewhere ? "cached" : live;
}

function hasPages({ io, formers }: Node): boolean {
  return (io?.cached ?? 0) > 0 || formers?.some((former) => former.io.cached > 0) === true;
}

export function liveOf(io: InodeIo | undefined): Live {
  if (io === undefined) return "nothing";
  if (io.passthrough > 0) return "passthrough";
  if (io.cached > 0) return "cached";
  return io.direct > 0 ? "direct" : "nothing";
}
