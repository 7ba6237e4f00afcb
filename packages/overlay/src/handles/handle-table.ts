/** Open file descriptions, by handle. The one place that holds them, so that they can be journaled. */
import { type FileHandle, type NodeId, O, type OpenOut } from "@sluice/vfs";
import type { DirectoryStream } from "../merge/directory-stream.js";
import type { Flow, IoWatch } from "../contract/gate.js";
import type { HostLayer } from "../layer/host-layer.js";
import type { DataAccess } from "../layer/layer-stack.js";
import type { Listing } from "../merge/listing.js";
import { IdPages } from "../node/id-pages.js";
import type { Node } from "../node/node.js";
import type { Backing, InodeIo, OpenOfInode } from "../node/inode-io.js";

export class OpenFile implements OpenOfInode {
  constructor(
    readonly handle: FileHandle,
    readonly node: Node,
    /** The nodeId it was opened by: an alias has an I/O state of its own. */
    readonly nodeId: NodeId,
    readonly io: InodeIo,
  ) {}

  /** Its journal slot, or 0. */
  slot = 0;
  /** Its place among the open files of `io`. */
  place = 0;
  /** The mode that the kernel was told. */
  mode: OpenOut["mode"] = "cached";
  /** The descriptor that the daemon reads and writes by: its own, or the backing file's. */
  fd = -1;
  write = false;
  /** O_ flags of its open. */
  flags = 0;
  /** The errno that `watch` refuses everything with, or 0: see withhold-open.ts. */
  withheld = 0;
  /** The `watch` from before it was withheld. */
  watchBefore: IoWatch | undefined = undefined;
  /** The layer that `fd`'s file lies in. */
  layer: HostLayer | undefined = undefined;
  /** The descriptors from before a copy-up; reads may still be under way on them. */
  formerFds: number[] | undefined = undefined;
  /** The state of the file at an open that made the kernel drop its pages, until they are known to be dropped: see io/cached-pages.ts. */
  pagesFrom: Uint32Array | undefined = undefined;
  /** Observes each of its reads and writes; all of them come to the daemon then. */
  watch: IoWatch | undefined = undefined;

  /** It reads pages that the kernel caches for its nodeId: by read(2), or by a mapping or splice(2) of a direct open. */
  get sharesPages(): boolean {
    return this.mode === "cached" || (this.mode === "direct" && this.readable);
  }

  /** The kernel maps nothing that is open for writing alone (mm/mmap.c do_mmap). */
  get readable(): boolean {
    return (this.flags & O.ACCMODE) !== O.WRONLY;
  }

  get flow(): Flow {
    return this.mode === "passthrough" ? "passthrough" : "mediated";
  }

  /** The backing file of a passthrough mode. If `fd` is its descriptor, closing is not up to the open file. */
  backing: Backing | undefined = undefined;
}

export class OpenDirectory {
  /** Its journal slot, or 0. */
  slot = 0;
  listing: Listing | undefined = undefined;
  /** How many rows a list had that an earlier server read: a reader that has seen them all is at the end. */
  rows = 0;
  /** The list is in the keeper's store. */
  storedListing = false;
  /** Instead of a listing, if one layer holds all entries. */
  stream: DirectoryStream | undefined = undefined;
  constructor(
    readonly handle: FileHandle,
    readonly node: Node,
  ) {}
}

/** The part of the journal that the table calls. */
export interface HandleJournal {
  readonly records: { reserveHandles(next: FileHandle): FileHandle };
  closed(slot: number): void;
  dropListing(handle: FileHandle): void;
}

export class HandleTable {
  readonly #byHandle = new IdPages<OpenFile | OpenDirectory>();
  readonly #journal: HandleJournal | undefined;
  #next = 1;
  #reserved = Number.MAX_SAFE_INTEGER;
  #files = 0;

  constructor(journal: HandleJournal | undefined) {
    this.#journal = journal;
    if (journal !== undefined) this.#reserved = 1;
  }

  /** Continues after the handles that an earlier server may have given away. */
  skip(next: FileHandle): void {
    this.#next = this.#reserved = Math.max(this.#next, next);
  }

  #newHandle(): FileHandle {
    if (this.#next >= this.#reserved) this.#reserved = this.#journal?.records.reserveHandles(this.#next) ?? this.#reserved;
    return this.#next++;
  }

  /** Takes over a file or directory that an earlier server opened. */
  adopt(open: OpenFile | OpenDirectory): void {
    this.#byHandle.set(open.handle, open);
    if (open instanceof OpenFile) this.#files++;
  }

  get files(): number {
    return this.#files;
  }

  get directories(): number {
    return this.#byHandle.size - this.#files;
  }

  addFile(node: Node, nodeId: NodeId, io: InodeIo): OpenFile {
    const file = new OpenFile(this.#newHandle(), node, nodeId, io);
    this.#byHandle.set(file.handle, file);
    this.#files++;
    return file;
  }

  addDirectory(node: Node): OpenDirectory {
    const directory = new OpenDirectory(this.#newHandle(), node);
    this.#byHandle.set(directory.handle, directory);
    return directory;
  }

  file(handle: FileHandle): OpenFile | undefined {
    const found = this.#byHandle.get(handle);
    return found instanceof OpenFile ? found : undefined;
  }

  directory(handle: FileHandle): OpenDirectory | undefined {
    const found = this.#byHandle.get(handle);
    return found instanceof OpenDirectory ? found : undefined;
  }

  remove(handle: FileHandle): void {
    const found = this.#byHandle.get(handle);
    if (found instanceof OpenFile) this.#files--;
    else found?.stream?.close();
    this.#byHandle.delete(handle);
    if (found === undefined || this.#journal === undefined) return;
    this.#journal.closed(found.slot);
    if (found instanceof OpenDirectory && found.storedListing) this.#journal.dropListing(handle);
  }

  closeDirectories(): void {
    for (const entry of this.#byHandle.values()) if (entry instanceof OpenDirectory) this.remove(entry.handle);
  }

  *allFiles(): IterableIterator<OpenFile> {
    for (const entry of this.#byHandle.values()) if (entry instanceof OpenFile) yield entry;
  }
}

/** The open files of a mount, and the layers that they lie in. */
export interface OpenFiles extends DataAccess {
  readonly handles: HandleTable;
}
