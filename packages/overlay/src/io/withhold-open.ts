/**
 * Opens whose transfers are refused, long after they were opened. What comes to us is refused at once. The kernel's pages are
 * another matter: an open reads and maps the pages of its id without asking us. So the pages of an id whose opens are all
 * withheld are dropped, and none come back: its READs are refused, and later opens go by another id (open/plan-open.ts).
 *
 * An open passes through all the same if a mapping of it reaches the backing file, or while others bring pages to its id.
 * The kernel keeps a mapped open file until it is unmapped, so an open that has left an id has no mappings of it left.
 */
import type { FileHandle, NodeId } from "@sluice/vfs";
import type { IoContext } from "./io-context.js";
import type { IoWatch } from "../contract/gate.js";
import type { OpenFile } from "../handles/handle-table.js";
import type { InodeIo } from "../node/inode-io.js";

/** Why a withheld open still reaches the file; a closed set. */
export type Passing =
  /** The kernel reads, writes and maps the layer's file by itself. */
  | "passthrough"
  /** Its reads and writes are refused, but it can be mapped, and mappings reach the layer's file. */
  | "mapping"
  /** An open that is allowed brings pages to the same inode of the kernel. */
  | "shared-pages"
  /** The kernel has not dropped the inode's pages yet. */
  | "kept-pages";

/**
 * Refuses the transfers of an open file with `errno`; undefined lets them go on. Resolves once the kernel has dropped the
 * pages that it could read, if they can be dropped.
 */
export function withhold(core: IoContext, handle: FileHandle, errno: number | undefined): Promise<void> {
  const file = core.handles.file(handle);
  if (file === undefined) return Promise.resolve();
  core.journal?.withheld(file, errno);
  return errno === undefined ? allow(file) : refuse(core, file, errno);
}

function allow(file: OpenFile): Promise<void> {
  if (file.withheld !== 0) {
    file.watch = file.watchBefore;
    file.watchBefore = undefined;
    file.withheld = 0;
    if (file.sharesPages) file.io.withheld--;
  }
  return Promise.resolve();
}

function refuse(core: IoContext, file: OpenFile, errno: number): Promise<void> {
  const isNew = file.withheld === 0;
  if (isNew) file.watchBefore = file.watch;
  file.withheld = errno;
  file.watch = refusing(errno);
  if (!isNew || !file.sharesPages) return Promise.resolve();
  file.io.withheld++;
  return emptyPages(core, file.nodeId, file.io);
}

function refusing(errno: number): IoWatch {
  return { before: () => -errno, after: () => undefined };
}

/** It is closed: of its id only withheld ones may be left. */
export function leaveWithheld(core: IoContext, file: OpenFile): void {
  const { io, nodeId } = file;
  if (io.withheld === 0) return;
  if (file.withheld === 0) void emptyPages(core, nodeId, io);
  else if (file.sharesPages) io.withheld--;
}

/**
 * The last open that could bring pages to the id is closed or withheld: all of them go. Those that a READ of before brings are
 * among them, as the kernel puts a page into its cache before it asks us for its content, and drops it after our answer.
 */
async function emptyPages(core: IoContext, nodeId: NodeId, io: InodeIo): Promise<void> {
  if (!isOnlyWithheld(io)) return;
  const emptying = ++io.emptyings;
  io.emptied = false;
  const dropped = await core.port.dropPages(nodeId);
  if (emptying !== io.emptyings) return;
  if (dropped) io.emptied = true;
  else if (core.port.separatesOpens) void emptyPages(core, nodeId, io);
}

export function isOnlyWithheld(io: InodeIo): boolean {
  return io.withheld > 0 && io.withheld === io.handles.size;
}

/** How a withheld open file still reaches the file; undefined: not at all, or it is not withheld. */
export function passingOf(core: IoContext, handle: FileHandle): Passing | undefined {
  const file = core.handles.file(handle);
  if (file === undefined || file.withheld === 0) return undefined;
  if (file.mode === "passthrough") return "passthrough";
  if (file.mode === "passthrough-direct") return file.readable ? "mapping" : undefined;
  if (!file.sharesPages) return undefined;
  if (!isOnlyWithheld(file.io)) return "shared-pages";
  return file.io.emptied ? undefined : "kept-pages";
}
