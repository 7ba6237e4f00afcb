/**
 * Restores open files and directories. A file is opened again by its node, in the mode that the kernel was told. A passthrough
 * open needs only its backing id for reads and writes; the descriptor serves requests that still come to the daemon.
 */
import type { DirectoryRecord, FileRecord, HandleRecords } from "@sluice/journal";
import { O } from "@sluice/vfs";
import type { OpenContext } from "../open/open-context.js";
import { OpenDirectory, OpenFile } from "../handles/handle-table.js";
import { InodeIo } from "../node/inode-io.js";
import { withhold } from "../io/withhold-open.js";
import { MODES, type OverlayJournal, storeKey } from "../journal/overlay-journal.js";
import { readListingFrom } from "../journal/stored-listing.js";
import type { HostLayer } from "../layer/host-layer.js";
import { closeFd } from "../layer/system-calls.js";
import { followOriginOf } from "../marks/origin.js";
import { DirectoryStream } from "../merge/directory-stream.js";
import { type Node, pathOf } from "../node/node.js";
import { openNode, openWritable } from "../node/open-node.js";
import { useBacking } from "../open/execute-plan.js";
import type { LazyRestore } from "./lazy-restore.js";

export interface Restoring {
  readonly core: OpenContext;
  readonly restorable: LazyRestore;
  readonly stored: Map<bigint, number>;
}

export function restoreHandles(restoring: Restoring, records: HandleRecords): void {
  for (const slot of [...records.slots()]) {
    const record = records.read(slot);
    const node = restoring.restorable.restoreSlot(record.node);
    if (node === undefined) {
      restoring.core.events.anomaly("an open file is not there any more", { handle: record.handle });
      records.remove(slot);
    } else if (record.kind === "file") restoreFile(restoring, { slot, node, record });
    else restoreDirectory(restoring, { slot, node, record });
  }
}

interface Was<T> {
  slot: number;
  node: Node;
  record: T;
}

function restoreFile(restoring: Restoring, was: Was<FileRecord>): void {
  const { core } = restoring;
  const { node, record } = was;
  const io = core.nodes.alias(record.nodeId)?.io ?? (node.io ??= new InodeIo());
  const file = new OpenFile(record.handle, node, record.nodeId, io);
  file.slot = was.slot;
  file.mode = MODES[record.mode] ?? "cached";
  file.write = record.write;
  file.flags = record.flags;
  io.count(file.mode, 1);
  if (file.mode === "passthrough" || file.mode === "passthrough-direct") joinBacking(restoring, file, record);
  if (file.fd < 0) file.fd = openOwn(core, file);
  file.layer = file.mode === "passthrough" ? core.layers[record.layer] : node.dataLayer;
  if (file.fd < 0) core.events.anomaly("an open file cannot be opened again", { handle: file.handle, errno: -file.fd });
  io.handles.add(file);
  core.handles.adopt(file);
  core.events.openFiles(file.flow, 1);
  restoreRuling(core, file);
}

/** Restores the ruling of its open. */
function restoreRuling(core: OpenContext, file: OpenFile): void {
  const { handles } = (core.journal as OverlayJournal).records;
  const persisted = handles.attachedTo(file.slot);
  const { handle, nodeId, node, write, mode: io, flow: mode } = file;
  const record = { handle, nodeId, path: pathOf(node), layer: node.dataLayer.name, mode, io, write, fallback: undefined };
  if (persisted !== undefined) file.watch = core.gate.restored?.(record, persisted);
  const refused = handles.refusedBy(file.slot);
  if (refused !== 0) void withhold(core, handle, refused);
}

function openOwn(core: OpenContext, file: OpenFile): number {
  const { node } = file;
  return file.write && node.inUpper && node.data === undefined ? openWritable(core, node, file.flags) : openNode(core, node, O.RDONLY);
}

function joinBacking(restoring: Restoring, file: OpenFile, record: FileRecord): void {
  const { core } = restoring;
  const { io, node } = file;
  const layer = core.layers[record.layer] ?? core.dataLayers[record.layer - core.layers.length] ?? node.dataLayer;
  io.backing ??= {
    id: record.backingId,
    ...openBackingFile(restoring, node, { layer, id: record.backingId }),
    layer,
    identity: undefined,
  };
  useBacking(file, io.backing);
}

/** The file that the kernel has: the node's own, or the lower one that it was copied from since. */
function openBackingFile(restoring: Restoring, node: Node, at: { layer: HostLayer; id: number }): { fd: number; writable: boolean } {
  const { core, stored } = restoring;
  const fd = stored.get(storeKey.backing(at.id));
  if (fd !== undefined) {
    stored.delete(storeKey.backing(at.id));
    core.journal?.backingIsStored(at.id);
    return { fd, writable: false };
  }
  if (at.layer !== node.dataLayer) return { fd: openOrigin(core, node), writable: false };
  const writable = at.layer.writable;
  return { fd: writable ? openWritable(core, node, O.WRONLY) : openNode(core, node, O.RDONLY), writable };
}

/** The server was killed after a copy-up, before it stored a descriptor of the lower file. */
function openOrigin(core: OpenContext, node: Node): number {
  const dirFd = core.fds.of(node.top);
  return dirFd < 0 ? dirFd : followOriginOf(core, { dirFd, name: node.realName }, O.RDONLY);
}

function restoreDirectory({ core, stored }: Restoring, was: Was<DirectoryRecord>): void {
  const { node, record } = was;
  const directory = new OpenDirectory(record.handle, node);
  directory.slot = was.slot;
  const dir = record.reading < 2 ? undefined : node.dirs?.find((one) => one.layer.index === record.reading - 2);
  if (dir !== undefined) directory.stream = new DirectoryStream(core, node, dir);
  directory.rows = record.rows;
  const key = storeKey.listing(record.handle);
  const fd = stored.get(key);
  if (fd !== undefined) {
    stored.delete(key);
    directory.listing = record.reading === 1 ? readListingFrom(fd) : undefined;
    directory.storedListing = true;
    closeFd(fd);
  }
  core.handles.adopt(directory);
}

/** Discards descriptors that nobody will ask for: their objects were let go just before the process ended. */
export function discardStored({ core, restorable, stored }: Restoring): void {
  for (const [key, fd] of stored) {
    if (restorable.expects(key)) continue;
    stored.delete(key);
    core.journal?.discard(key, fd);
  }
}
