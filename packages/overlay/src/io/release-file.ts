/** RELEASE: the last close of an open file. */
import type { FileHandle } from "@sluice/vfs";
import type { IoContext } from "./io-context.js";
import { closeFd } from "../layer/system-calls.js";
import { releaseLocks } from "../locks/lock-file.js";
import type { OpenFile } from "../handles/handle-table.js";
import { pagesWritten } from "./cached-pages.js";
import { leaveWithheld } from "./withhold-open.js";

export function releaseFile(core: IoContext, handle: FileHandle): number {
  const file = core.handles.file(handle);
  if (file === undefined) return 0;
  core.handles.remove(handle);
  releaseLocks(core, file, handle);
  const { io } = file;
  if (file.write && file.mode === "cached") pagesWritten(file);
  io.handles.delete(file);
  // A mediated open has a descriptor of its own; a passthrough open shares the backing file's.
  if (file.backing?.fd !== file.fd) closeFd(file.fd);
  if (file.formerFds !== undefined) for (const fd of file.formerFds) closeFd(fd);
  io.count(file.mode, -1);
  releaseBacking(core, file);
  leaveWithheld(core, file);
  core.events.openFiles(file.flow, -1);
  core.gate.closed(handle);
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
