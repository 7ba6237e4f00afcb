/**
 * Withholds an open: refuses its transfers, long after it was opened. A transfer that comes to the daemon is refused at once.
 * But an open also reads and maps the pages of its nodeId, without asking the daemon. So if all opens of a nodeId are
 * withheld, its pages are dropped, and none come back: its READs are refused, and later opens go by another nodeId
 * (open/plan-open.ts).
 *
 * A withheld open still passes through if a mapping of it reaches the backing file, or while other opens bring pages to its
 * nodeId. The kernel holds a file open until its mappings of the mount's own pages are gone, so a released open has none of them left.
 */
import type { FileHandle, NodeId } from "@sluice/vfs";
import type { IoContext } from "./io-context.js";
import type { IoWatch } from "../contract/gate.js";
import type { OpenFile } from "../handles/handle-table.js";
import type { InodeIo } from "../node/inode-io.js";

/** How a withheld open still reaches the file; a closed set, users see it. */
export type Passing =
  /** The kernel does its I/O. */
  | "passthrough"
  /** Its reads and writes are refused, but it can be mapped, and a mapping reaches the layer's file. */
  | "mapping"
  /** An open that is allowed brings pages to the same inode. */
  | "shared-pages"
  /** The kernel has not dropped the inode's pages yet. */
  | "kept-pages";

/**
 * Refuses the transfers of an open file with `errno`; undefined allows them again. Resolves when the kernel has dropped the
 * pages that the open could read, if they can be dropped.
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

/** The file is closed: perhaps only withheld opens of its nodeId are left. */
export function leaveWithheld(core: IoContext, file: OpenFile): void {
  const { io, nodeId } = file;
  if (io.withheld === 0) return;
  if (file.withheld === 0) void emptyPages(core, nodeId, io);
  else if (file.sharesPages) io.withheld--;
}

/**
 * If the last open that could bring pages to the nodeId is closed or withheld, all pages go. They include those of a READ
 * that is under way: the kernel puts a page into its cache before it asks for the content, and drops it after our answer.
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

/** Undefined if the open does not reach the file, or is not withheld. */
export function passingOf(core: IoContext, handle: FileHandle): Passing | undefined {
  const file = core.handles.file(handle);
  if (file === undefined || file.withheld === 0) return undefined;
  if (file.mode === "passthrough") return "passthrough";
  if (file.mode === "passthrough-direct") return file.readable ? "mapping" : undefined;
  if (!file.sharesPages) return undefined;
  if (!isOnlyWithheld(file.io)) return "shared-pages";
  return file.io.emptied ? undefined : "kept-pages";
}
