/**
 * The I/O modes of the open files of one nodeId.
 *
 * The kernel (fs/fuse/iomode.c) holds an inode in one mode at a time: cached, or passthrough to one backing file. A reply that
 * does not fit is EIO for the application, so every new open is planned against this state (open/plan-open.ts). It counts an
 * open until its RELEASE arrives, a little longer than the kernel does, which errs on the safe side.
 */
import type { FileHandle, OpenOut } from "@sluice/vfs";
import type { Flow } from "../contract/gate.js";
import type { HostLayer } from "../layer/host-layer.js";

/** A backing file that is registered with the kernel. Its `fd` stays open as long as it is registered. */
export interface Backing {
  readonly id: number;
  readonly fd: number;
  readonly layer: HostLayer;
  /** `fd` is open for writing too. */
  readonly writable: boolean;
  /** The file's identity in its layer; undefined if an earlier server registered it. */
  readonly identity: Identity | undefined;
}

export interface Identity {
  readonly inoLo: number;
  readonly inoHi: number;
  readonly devMajor: number;
  readonly devMinor: number;
}

/** An open file description, as those see it who go through all opens of an inode. handles/ has the whole of it. */
export interface OpenOfInode {
  /** Its place in `InodeOpens`, which sets it. */
  place: number;
  readonly handle: FileHandle;
  readonly mode: OpenOut["mode"];
  readonly flow: Flow;
  readonly write: boolean;
  readonly withheld: number;
  readonly backing: Backing | undefined;
  fd: number;
  layer: HostLayer | undefined;
  formerFds: number[] | undefined;
}

/** A longer list is dropped once it is empty. */
const REUSED_PLACES = 64;

/** A set of open files. A Set that each close empties and the next open fills would allocate each time. */
export class InodeOpens {
  #files: (OpenOfInode | undefined)[] | undefined = undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(file: OpenOfInode): void {
    file.place = this.#size++;
    if (this.#files === undefined) this.#files = [file];
    else this.#files[file.place] = file;
  }

  /** Removes a file that is in the set: the last one takes its place. */
  delete(file: OpenOfInode): void {
    const files = this.#files as (OpenOfInode | undefined)[];
    const last = files[--this.#size] as OpenOfInode;
    files[this.#size] = undefined;
    if (last !== file) {
      files[file.place] = last;
      last.place = file.place;
    }
    if (this.#size === 0 && files.length > REUSED_PLACES) this.#files = undefined;
  }

  *[Symbol.iterator](): IterableIterator<OpenOfInode> {
    for (const file of this.#files ?? []) if (file !== undefined) yield file;
  }
}

export class InodeIo {
  readonly handles = new InodeOpens();
  /** Opens in cached mode. */
  cached = 0;
  /** Opens in direct mode. */
  direct = 0;
  /** Opens in passthrough mode, "passthrough-direct" included. */
  passthrough = 0;
  /** Its nodeId serves observed opens alone, so that they always find a place: see open/plan-open.ts. */
  observedOnly = false;
  /** How many of its opens are withheld and read pages of it: see withhold-open.ts. */
  withheld = 0;
  /** Counts only while all its opens are withheld: the kernel has dropped its pages, and gets none. */
  emptied = false;
  /** How often its pages began to be dropped for good. */
  emptyings = 0;
  /** The file that passthrough opens are tied to, while there are any. */
  backing: Backing | undefined = undefined;
  /** Its place among the files that were closed last; see idle-io.ts. */
  idlePlace = -1;
  /** The state of the file that the kernel's pages are of, if they may stay; see cached-pages.ts. */
  pagesOf: Uint32Array | undefined = undefined;

  /** Counts an open in its mode: `by` 1, or -1 when it is closed. */
  count(mode: OpenOut["mode"], by: 1 | -1): void {
    if (mode === "cached") this.cached += by;
    else if (mode === "direct") this.direct += by;
    else this.passthrough += by;
  }
}

/** Nothing is open, and a new state would say the same, except of pages that the kernel caches. */
export function isUnused(io: InodeIo): boolean {
  const opens = io.handles.size + io.cached + io.direct + io.passthrough;
  return opens === 0 && !io.observedOnly && io.backing === undefined;
}
