/** OPENDIR, READDIR, READDIRPLUS, RELEASEDIR and FSYNCDIR. */
import {
  type CallContext,
  type DirectoryEntry,
  type DirectoryOut,
  DT,
  Errno,
  type FileHandle,
  type NodeId,
  O,
  type OpenOut,
  type ReaddirArgs,
  type Status,
} from "@sluice/vfs";
import type { Core } from "../core.js";
import type { OpenDirectory } from "../io/handle-table.js";
import { sys } from "../layer/host-layer.js";
import { type Listing, readListing } from "../merge/listing.js";
import type { Node } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { childOf, lookup } from "./lookup.js";

export function opendir(core: Core, id: NodeId, out: OpenOut): number {
  const node = core.nodes.get(id);
  if (node === undefined) return Errno.ESTALE;
  if (!node.isDirectory) return Errno.ENOTDIR;
  out.handle = core.handles.addDirectory(node).handle;
  out.mode = "cached";
  out.keepCache = false;
  out.backingId = 0;
  return 0;
}

export function releasedir(core: Core, handle: FileHandle): number {
  core.handles.remove(handle);
  return 0;
}

export function readdir(core: Core, call: CallContext, args: ReaddirArgs, out: DirectoryOut): Status {
  const directory = core.handles.directory(args.handle);
  if (directory === undefined) return Errno.EBADF;
  const offset = Number(args.offset);
  // rewinddir(3) shows what was added or removed since.
  if (offset === 0) directory.listing = undefined;
  if (directory.listing !== undefined) return emit(core, { call, directory, offset, plus: args.plus }, out);
  const listing = readListing(core, directory.node);
  const plus = args.plus;
  const use = (read: Listing | number): number => {
    if (typeof read === "number") return read;
    directory.listing = read;
    return emit(core, { call, directory, offset, plus }, out);
  };
  return listing instanceof Promise ? listing.then(use) : use(listing);
}

interface Emission {
  call: CallContext;
  directory: OpenDirectory;
  offset: number;
  plus: boolean;
}

const entry: DirectoryEntry = { name: "", inoLo: 0, inoHi: 0, type: 0, offset: 0 };

/** The cookie of a row is its number plus one; rows 0 and 1 are "." and "..". */
function emit(core: Core, emission: Emission, out: DirectoryOut): number {
  const { directory } = emission;
  const listing = directory.listing as Listing;
  const rows = listing.names.length + 2;
  for (let row = emission.offset; row < rows; row++) {
    if (row < 2) dot(directory.node, row);
    else if (!fillRow(core, directory.node, listing, row - 2)) continue;
    entry.offset = row + 1;
    if (!give(core, emission, row, out)) break;
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

/** d_ino has to equal st_ino: where that is not the layer's own number, the node knows. */
function fillRow(core: Core, node: Node, listing: Listing, index: number): boolean {
  const name = listing.names[index] as string;
  entry.name = name;
  entry.type = listing.types[index] as number;
  const differs = listing.upper[index] === true && (node.isMerged || node.top.impure);
  const child = node.children?.get(name) ?? (differs ? childOf(core, node, name) : undefined);
  if (typeof child === "number") return false;
  entry.inoLo = child?.inoLo ?? (listing.inoLo[index] as number);
  entry.inoHi = child?.inoHi ?? (listing.inoHi[index] as number);
  return true;
}

function give(core: Core, emission: Emission, row: number, out: DirectoryOut): boolean {
  if (!emission.plus) return out.add(entry);
  if (row < 2) return out.addPlus(entry, undefined);
  if (!out.fitsPlus(entry.name.length)) return false;
  const { node } = emission.directory;
  const found = out.scratch;
  const status = lookup(core, node.id, entry.name, found);
  // Gone since the listing was read: the entry is skipped, as if it had never been listed.
  if (status !== 0 || found.nodeId === 0) return true;
  return out.addPlus(entry, found);
}

export function fsyncdir(core: Core, id: NodeId): Status {
  const node = core.nodes.get(id);
  if (node === undefined) return Errno.ESTALE;
  if (core.config.volatile || node.upperDir === undefined || node.unlinked) return 0;
  const fd = openNode(core, node, O.RDONLY | O.DIRECTORY);
  if (fd < 0) return -fd;
  return sys.fsyncAsync(fd, false).then((status) => {
    sys.close(fd);
    return -status || 0;
  });
}
