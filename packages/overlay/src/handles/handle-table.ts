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
    /** The nodeId it was opened by: a former one keeps its own I/O state. */
    readonly nodeId: NodeId,
    readonly io: InodeIo,
  ) {}

  /** Where it is written down, or 0. */
  slot = 0;
  /** Among those of `io`. */
  place = 0;
  /** As the kernel was told. */
  mode: OpenOut["mode"] = "cached";
  /** What the daemon reads and writes by: its own descriptor, or the backing file's. */
  fd = -1;
  write = false;
  /** O_ flags of its open. */
  flags = 0;
  /** The errno that `watch` refuses everything with, or 0: see withhold-open.ts. */
  withheld = 0;
  /** What `watch` was before that. */
  watchBefore: IoWatch | undefined = undefined;
  /** The layer that `fd`'s file lies in. */
  layer: HostLayer | undefined = undefined;
  /** Descriptors that `fd` was before a copy-up; reads may still be under way on them. */
  formerFds: number[] | undefined = undefined;
  /** What the file was at an open that has the kernel drop its pages, until that is known to have happened: see kept-pages.ts. */
  pagesFrom: Uint32Array | undefined = undefined;
  /** What has to be done about each of its reads and writes, all of which come to us then. */
  watch: IoWatch | undefined = undefined;

  /** It reads pages that the kernel keeps of its id: by read(2), or by a mapping or splice(2) of a direct open. */
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

  /** Set where `fd` is the backing file's and not ours to close. */
  backing: Backing | undefined = undefined;
}

export class OpenDirectory {
  /** Where it is written down, or 0. */
  slot = 0;
  listing: Listing | undefined = undefined;
  /** Of a list that an earlier process read, how many rows it had: whoever has seen them all is at the end. */
  rows = 0;
  /** The list is in the store. */
  storedListing = false;
  /** Instead of a listing, where one layer holds it all. */
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

  /** Goes on behind the handles that a process before this one may have given away. */
  skip(next: FileHandle): void {
    this.#next = this.#reserved = Math.max(this.#next, next);
  }

  #newHandle(): FileHandle {
    if (this.#next >= this.#reserved) this.#reserved = this.#journal?.records.reserveHandles(this.#next) ?? this.#reserved;
    return this.#next++;
  }

  /** One that was open before. */
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
