/** RELEASE: the last close of an open file. */
import { andThen, type FileHandle, type Status } from "@sluice/vfs";
import type { IoContext } from "./io-context.js";
import { releaseLocks } from "../locks/lock-file.js";
import type { OpenFile } from "../handles/handle-table.js";
import { pagesWritten } from "./cached-pages.js";
import { type ChangedRange, dropOtherPages } from "./other-pages.js";
import { leaveWithheld } from "./withhold-open.js";

const WHOLE: ChangedRange = { offset: 0, length: 0 };

/** The file stays in the table until its locks are gone: if the server ends meanwhile, the kernel sends the request to the next one. */
export function releaseFile(core: IoContext, handle: FileHandle): Status {
  const file = core.handles.file(handle);
  if (file === undefined) return 0;
  const unlocked = releaseLocks(core, file);
  return unlocked === 0 ? closeFile(core, file) : andThen(unlocked, () => closeFile(core, file));
}

export function closeFile(core: IoContext, file: OpenFile): number {
  const { handle, io } = file;
  // It may still look at the file.
  core.gate.closed(handle);
  core.handles.remove(handle);
  if (file.write && file.mode === "cached") pagesWritten(file);
  // The daemon did not hear of the writes that the kernel made itself.
  if (file.write && file.backing !== undefined) dropOtherPages(core, file, WHOLE);
  io.handles.delete(file);
  // A mediated open has a descriptor of its own; a passthrough open shares the backing file's.
  if (file.backing?.fd !== file.fd) core.closes.close(file.fd);
  if (file.formerFds !== undefined) for (const fd of file.formerFds) core.closes.close(fd);
  io.count(file.mode, -1);
  releaseBacking(core, file);
  leaveWithheld(core, file);
  core.events.openFiles(file.flow, -1);
  core.idle.closed(file.node, io);
  core.nodes.letGo(file.node);
  return 0;
}

/** After the last passthrough open: the kernel left passthrough mode before it sent RELEASE. */
function releaseBacking(core: IoContext, { io, node }: OpenFile): void {
  const { backing } = io;
  if (io.passthrough > 0 || backing === undefined) return;
  io.backing = undefined;
  core.journal?.backingClosed(backing.id);
  core.backings.give(node, backing);
}
