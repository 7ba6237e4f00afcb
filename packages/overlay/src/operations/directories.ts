/** OPENDIR, READDIR, READDIRPLUS, RELEASEDIR and FSYNCDIR. */
import {
  type ByteName,
  type CallContext,
  type DirectoryEntry,
  type DirectoryOut,
  DT,
  Errno,
  type FileHandle,
  type FileOffset,
  LoopTurn,
  type NodeId,
  O,
  type OpenOut,
  type ReaddirArgs,
  type Status,
} from "@sluice/vfs";
import type { OperationContext } from "./operation-context.js";
import { visibleNode } from "../gate/hidden.js";
import type { OpenDirectory } from "../handles/handle-table.js";
import { syncIn } from "../layer/host-layer.js";
import { closeFd, upkeep } from "../layer/system-calls.js";
import { DirectoryStream, type StreamedEntry } from "../merge/directory-stream.js";
import { type Listing, readListing } from "../merge/listing.js";
import { cookieOf, numberIn, rowAt } from "../merge/recent-listings.js";
import { mixDevice } from "../node/admit.js";
import { type Node, pathOf } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { childOf, lookUpIn } from "./lookup.js";
import { syncVolatile } from "../io/data.js";

export function opendir(core: OperationContext, call: CallContext, id: NodeId, out: OpenOut): number {
  const node = visibleNode(core, id);
  if (typeof node === "number") return node;
  if (!node.isDirectory) return Errno.ENOTDIR;
  const directory = core.handles.addDirectory(node);
  core.journal?.openedDirectory(directory, call.journalSlot ?? 0);
  begin(core, directory);
  out.handle = directory.handle;
  out.mode = "cached";
  // The kernel knows of every change of the names that comes through the mount, but not of changes by others.
  out.keepCache = core.config.entryTtlMs > 0 && !(core.config.sharedLower && isShared(node));
  out.backingId = 0;
  return 0;
}

function isShared(node: Node): boolean {
  return node.dirs?.some(({ layer }) => !layer.isOurs) === true;
}

export function releasedir(core: OperationContext, handle: FileHandle): number {
  core.handles.remove(handle);
  return 0;
}

export function readdir(core: OperationContext, call: CallContext, args: ReaddirArgs, out: DirectoryOut): Status {
  const directory = core.handles.directory(args.handle);
  if (directory === undefined) return Errno.EBADF;
  // rewinddir(3) shows what was added or removed since.
  if (args.offset === 0) begin(core, directory);
  if (directory.stream !== undefined) return emitStream(core, directory.stream, { from: args.offset, plus: args.plus }, out);
  const { plus } = args;
  const cookie = Number(args.offset);
  // Read from the kernel's own list so far, which it dropped meanwhile.
  directory.listing ??= core.recentListings.find(numberIn(cookie), directory.node);
  if (directory.listing !== undefined) return emit(core, { directory, listing: directory.listing, cookie, plus }, out);
  // An earlier process listed it to its end.
  if (directory.rows > 0 && rowAt(cookie) >= directory.rows) return 0;
  const listing = readListing(core, directory.node, call);
  const use = (read: Listing | number): Status => {
    if (typeof read === "number") return read;
    read.number = core.recentListings.add(directory.node, read);
    directory.listing = read;
    core.journal?.reads(directory, read.names.length + 2);
    return emit(core, { directory, listing: read, cookie, plus }, out);
  };
  return listing instanceof Promise ? listing.then(use) : use(listing);
}

/** Marks of other implementations hide names of the same layer: there a listing is needed, too. */
function begin(core: OperationContext, directory: OpenDirectory): void {
  const { node } = directory;
  directory.listing = undefined;
  directory.stream?.close();
  directory.stream = node.isMerged || core.config.foreignMarks ? undefined : new DirectoryStream(core, node, node.top);
  directory.rows = 0;
  if (directory.stream !== undefined) core.journal?.reads(directory, 0);
  if (directory.storedListing) core.journal?.dropListing(directory.handle);
  directory.storedListing = false;
}

/** Bytes of host records that about fill a reply of 32 KiB, which is what readdir(3) asks for. */
const BATCH_BYTES = 24_576;
const BATCH_PLUS_BYTES = 7168;
/** Rows of one reply whose node has to be looked up, at some system calls each: the reader asks for the others. */
const MAX_LOOKUPS = 128;

/** The directory's path if its names may be hidden; else undefined. */
function hiddenIn({ gate }: OperationContext, node: Node): string | undefined {
  return gate.hidesNames ? pathOf(node) : undefined;
}

/** So many batches that hold hidden names alone, and so many rows of a list, are passed over in one turn. */
const MAX_HIDDEN_BATCHES = 4;
const MAX_HIDDEN_ROWS = 4096;

/** An empty answer is the end, so it goes on where a batch held nothing to show. */
function emitStream(
  core: OperationContext,
  stream: DirectoryStream,
  request: { from: FileOffset; plus: boolean },
  out: DirectoryOut,
): Status {
  const path = hiddenIn(core, stream.node);
  let { from } = request;
  let given = 0;
  for (let batches = 0; ; batches++) {
    if (path !== undefined && batches === MAX_HIDDEN_BATCHES) {
      return new LoopTurn().next().then(() => emitStream(core, stream, { ...request, from }, out));
    }
    let full = false;
    const length = stream.read(from, request.plus || stream.dir.impure ? BATCH_PLUS_BYTES : BATCH_BYTES, (row) => {
      if (path !== undefined && !isDot(row.name) && core.gate.hides(path, row.name)) return true;
      full = !(request.plus ? giveStreamedPlus(core, stream, row, out) : giveStreamed(core, stream, row, out));
      if (!full) given++;
      return !full;
    });
    if (length < 0) return -length;
    if (length === 0 && stream.dir.impure && !stream.hasOrigins) forgetImpure(core, stream);
    if (length === 0 || full || given > 0) return 0;
    from = stream.position;
  }
}

/**
 * The last object with an origin has left the directory, it seems: its mark goes too, as overlayfs does it when it lists one
 * (fs/overlayfs/readdir.c ovl_dir_read_impure). Looked at once more as a whole, since names came while it was read.
 */
function forgetImpure(core: OperationContext, { node, dir }: DirectoryStream): void {
  if (!dir.layer.writable || node.unlinked) return;
  const listing = readListing(core, node);
  if (typeof listing === "number" || listing instanceof Promise || listing.names.length > MAX_LOOKUPS) return;
  for (const [index, name] of listing.names.entries()) {
    const child = knownChild(core, node, { name, differs: true });
    const pure = child === undefined || (child.inoLo === listing.inoLo[index] && child.inoHi === listing.inoHi[index]);
    if (child !== undefined) core.nodes.letGo(child);
    if (!pure) return;
  }
  const fd = core.fds.of(dir);
  if (fd >= 0 && upkeep.removexattrat(fd, "", core.marks.impure) >= 0) dir.impure = false;
}

function isDot(name: ByteName): boolean {
  return name === "." || name === "..";
}

function giveStreamed(core: OperationContext, stream: DirectoryStream, row: StreamedEntry, out: DirectoryOut): boolean {
  if (!fillStreamed(core, stream, row)) return out.add(entry);
  const { node, dir } = stream;
  const child = knownChild(core, node, { name: row.name, differs: dir.layer.isOurs && dir.impure });
  if (child !== undefined) {
    numberEntry(child.inoLo, child.inoHi);
    core.nodes.letGo(child);
  }
  noteOrigin(core, stream, row);
  return out.add(entry);
}

function giveStreamedPlus(core: OperationContext, stream: DirectoryStream, row: StreamedEntry, out: DirectoryOut): boolean {
  if (!fillStreamed(core, stream, row)) return out.addPlus(entry, undefined);
  const given = givePlus(core, stream.node, out);
  noteOrigin(core, stream, row);
  return given;
}

/** False for "." and "..", which are complete then. */
function fillStreamed(core: OperationContext, { node, dir }: DirectoryStream, row: StreamedEntry): boolean {
  const isName = !isDot(row.name);
  if (isName) {
    entry.name = row.name;
    entry.type = row.type;
    numberEntry(row.inoLo, mixDevice(core, row.inoHi, dir.layer.deviceIndex));
  } else dot(node, row.name === "." ? 0 : 1);
  entry.offset = row.offset;
  return isName;
}

function noteOrigin(core: OperationContext, stream: DirectoryStream, row: StreamedEntry): void {
  if (stream.hasOrigins) return;
  stream.hasOrigins = entry.inoLo !== row.inoLo || entry.inoHi !== mixDevice(core, row.inoHi, stream.dir.layer.deviceIndex);
}

interface Emission {
  directory: OpenDirectory;
  listing: Listing;
  cookie: number;
  plus: boolean;
}

const entry: DirectoryEntry = { name: "", inoLo: 0, inoHi: 0, type: 0, offset: 0 };

/** Rows 0 and 1 are "." and "..". */
function emit(core: OperationContext, emission: Emission, out: DirectoryOut): Status {
  const { listing } = emission;
  const { node } = emission.directory;
  const path = hiddenIn(core, node);
  const rows = listing.names.length + 2;
  let lookups = 0;
  let given = 0;
  let hidden = 0;
  for (let row = rowAt(emission.cookie); row < rows; row++) {
    if (path !== undefined && row >= 2 && core.gate.hides(path, listing.names[row - 2] as string)) {
      if (++hidden < MAX_HIDDEN_ROWS) continue;
      // The reader asks for the rest, unless there is nothing for it so far: that would be the end.
      if (given > 0) break;
      return new LoopTurn().next().then(() => emit(core, { ...emission, cookie: cookieOf(listing.number, row + 1) }, out));
    }
    entry.offset = cookieOf(listing.number, row);
    if (row >= 2 && looksUp(node, listing, row - 2)) lookups++;
    if (lookups > MAX_LOOKUPS || !(emission.plus ? giveRowPlus(core, emission, row, out) : giveRow(core, emission, row, out))) {
      core.journal?.storeListing(emission.directory);
      break;
    }
    given++;
  }
  return 0;
}

function dot(node: Node, row: number): void {
  const which = row === 0 ? node : (node.parent ?? node);
  entry.name = row === 0 ? "." : "..";
  entry.inoLo = which.inoLo;
  entry.inoHi = which.inoHi;
  entry.type = DT.DIR;
}

/** Does the entry's number take a look-up of its node? */
function looksUp(node: Node, listing: Listing, index: number): boolean {
  return listing.ours[index] === true && (node.isMerged || node.top.impure);
}

function giveRow(core: OperationContext, { directory, listing }: Emission, row: number, out: DirectoryOut): boolean {
  const { node } = directory;
  if (!fillRow(node, listing, row)) return out.add(entry);
  const child = knownChild(core, node, { name: entry.name, differs: looksUp(node, listing, row - 2) });
  if (child !== undefined) {
    numberEntry(child.inoLo, child.inoHi);
    numberRow(listing, row - 2);
    core.nodes.letGo(child);
  }
  return out.add(entry);
}

function giveRowPlus(core: OperationContext, { directory, listing }: Emission, row: number, out: DirectoryOut): boolean {
  if (!fillRow(directory.node, listing, row)) return out.addPlus(entry, undefined);
  const given = givePlus(core, directory.node, out);
  numberRow(listing, row - 2);
  return given;
}

/** False for "." and "..", which are complete then. */
function fillRow(node: Node, listing: Listing, row: number): boolean {
  if (row < 2) {
    dot(node, row);
    return false;
  }
  entry.name = listing.names[row - 2] as string;
  entry.type = listing.types[row - 2] as number;
  numberEntry(listing.inoLo[row - 2] as number, listing.inoHi[row - 2] as number);
  return true;
}

function numberEntry(inoLo: number, inoHi: number): void {
  entry.inoLo = inoLo;
  entry.inoHi = inoHi;
}

/** For a reader of this row after the name is gone. */
function numberRow(listing: Listing, index: number): void {
  listing.inoLo[index] = entry.inoLo;
  listing.inoHi[index] = entry.inoHi;
}

/**
 * d_ino has to equal st_ino. If that is not the layer's own number, the node knows it. An object that is gone meanwhile keeps its own.
 * The caller lets the node go again, since the kernel may never look at it.
 */
function knownChild(core: OperationContext, node: Node, which: { name: ByteName; differs: boolean }): Node | undefined {
  const child = core.nodes.child(node, which.name) ?? (which.differs ? childOf(core, node, which.name) : undefined);
  return typeof child === "number" ? undefined : child;
}

/** Gives the entry with the node of its name, and the number of that. False if there is no room. */
function givePlus(core: OperationContext, node: Node, out: DirectoryOut): boolean {
  if (!out.fitsPlus(entry.name.length)) return false;
  const found = out.scratch;
  const status = node.unlinked ? Errno.ENOENT : lookUpIn(core, node, entry.name, found);
  // Gone since the listing was read: the entry is skipped, as if it had never been listed.
  if (status === Errno.ENOENT || (status === 0 && found.nodeId === 0)) return true;
  if (status !== 0) return out.addPlus(entry, undefined);
  numberEntry(found.attr.words[0] as number, found.attr.words[1] as number);
  return out.addPlus(entry, found);
}

export function fsyncdir(core: OperationContext, id: NodeId): Status {
  const node = core.nodes.get(id);
  if (node === undefined) return Errno.ESTALE;
  if (core.config.volatile) return syncVolatile(core);
  if (node.upperDir === undefined || node.unlinked) return 0;
  const fd = openNode(core, node, O.RDONLY | O.DIRECTORY);
  if (fd < 0) return -fd;
  const close = (status: number): number => {
    closeFd(fd);
    return -status || 0;
  };
  const synced = syncIn(node.upperDir.layer, fd);
  return typeof synced === "number" ? close(synced) : synced.then(close);
}
