/** The merged list of a directory's names: read once for an open directory of several layers, and again after rewinddir(3). */
import { type ByteName, type CallContext, DT, inTurns } from "@sluice/vfs";
import type { ListedLayers } from "./merged-layers.js";
import { closeFd, openDirectory, sys } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import { hiddenBy } from "../marks/foreign-marks.js";
import { mixDevice } from "../node/admit.js";
import type { Node } from "../node/node.js";
import { unlessKilled } from "../layer/unless-killed.js";
import { DirentCursor } from "../layer/dirents.js";
import { GONE, judgeEntry, WHITEOUT } from "./judge-entry.js";

/** Small, so that reading one batch and looking at its entries takes a fraction of a turn. */
const bytes = Buffer.alloc(8192);
const records = new DirentCursor(bytes);

/** Columns of equal length: a row an entry. */
export class Listing {
  readonly names: ByteName[] = [];
  readonly inoLo: number[] = [];
  readonly inoHi: number[] = [];
  readonly types: number[] = [];
  /** The entry's inode number may come from an origin. */
  readonly ours: boolean[] = [];
  /** See recent-listings.ts. */
  number = 0;
}

/** Reads all layers of the directory; a promise for a large one. A positive errno if a layer fails. */
export function readListing(core: ListedLayers, node: Node, caller?: CallContext): Listing | number | Promise<Listing | number> {
  const steps = fillListing(core, node, new Listing());
  return inTurns(caller === undefined ? steps : unlessKilled(caller, steps));
}

/** Directories of more names are not counted: the caller of stat(2) waits for the count, and so does everybody else. */
const MAX_COUNTED_NAMES = 2048;

/** Counts the directories in it; undefined if it has too many names, or cannot be read. */
export function countDirectories(core: ListedLayers, node: Node): number | undefined {
  const listing = new Listing();
  const steps = fillListing(core, node, listing);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return typeof step.value === "number" ? undefined : listing.types.filter((type) => type === DT.DIR).length;
    if (listing.names.length > MAX_COUNTED_NAMES) {
      steps.return(0);
      return undefined;
    }
  }
}

/** Yields after each batch of entries. */
export function* fillListing(core: ListedLayers, node: Node, listing: Listing): Generator<void, Listing | number> {
  const dirs = [...(node.dirs ?? [])];
  const seen = dirs.length > 1 ? new Set<ByteName>() : undefined;
  for (const dir of dirs) {
    const fd = open(core, node, dir);
    if (fd < 0) return -fd;
    try {
      const batch: Batch = { listing, seen, dir, fd, hidden: [] };
      const errno = yield* readAll(core, batch);
      if (errno !== 0) return errno;
      for (const name of batch.hidden) {
        seen?.add(name);
        yield;
      }
    } finally {
      closeFd(fd);
    }
  }
  return listing;
}

function* readAll(core: ListedLayers, batch: Batch): Generator<void, number> {
  for (let length = sys.getdents64(batch.fd, bytes); length !== 0; length = sys.getdents64(batch.fd, bytes)) {
    if (length < 0) return -length;
    addBatch(core, batch, length);
    yield;
  }
  return 0;
}

function open(core: ListedLayers, node: Node, dir: RealDir): number {
  const base = node.fd >= 0 ? node.fd : core.fds.of(dir);
  return base < 0 ? base : openDirectory(base);
}

interface Batch {
  listing: Listing;
  seen: Set<ByteName> | undefined;
  dir: RealDir;
  fd: number;
  /** By foreign whiteouts of this layer, in the layers below: a file beside its own whiteout is there. */
  hidden: ByteName[];
}

function addBatch(core: ListedLayers, batch: Batch, length: number): void {
  const { listing, seen, dir } = batch;
  records.begin(length);
  while (records.next()) {
    const { name } = records;
    if (name === "." || name === ".." || seen?.has(name) === true) continue;
    const known = judgeEntry(core, batch, records);
    if (known === GONE) continue;
    seen?.add(name);
    if (known === WHITEOUT) {
      const hidden = core.marks.foreign ? hiddenBy(name) : undefined;
      if (hidden !== undefined) batch.hidden.push(hidden);
      continue;
    }
    listing.names.push(name);
    listing.inoLo.push(records.inoLo);
    listing.inoHi.push(mixDevice(core, records.inoHi, dir.layer.deviceIndex));
    listing.types.push(known);
    listing.ours.push(dir.layer.isOurs);
  }
}
