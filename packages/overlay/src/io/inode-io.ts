/**
 * What the kernel has open of one nodeId, as far as its I/O modes are concerned.
 *
 * The kernel (fs/fuse/iomode.c) lets an inode be in one mode at a time: cached, or passthrough to one backing object. A
 * reply that does not fit is EIO for the application, so every new open is arbitrated against this state. The state
 * counts an open until its RELEASE arrives, a little longer than the kernel does: it errs towards what always fits.
 */
import type { HostLayer } from "../layer/host-layer.js";
import type { OpenFile } from "./handle-table.js";

/** A registered backing file. `fd` is ours as long as it is registered. */
export interface Backing {
  readonly id: number;
  readonly fd: number;
  readonly layer: HostLayer;
  /** `fd` was opened for writing too. */
  readonly writable: boolean;
  /** Which file it is, as the layer has it; undefined where another server registered it. */
  readonly identity: Identity | undefined;
}

export interface Identity {
  readonly inoLo: number;
  readonly inoHi: number;
  readonly devMajor: number;
  readonly devMinor: number;
}

/** Beyond so many places a list that is empty again is let go. */
const KEPT_PLACES = 64;

/** A Set that becomes empty with each close and is filled again by the next open would allocate each time. */
export class OpenFiles {
  #files: (OpenFile | undefined)[] | undefined = undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(file: OpenFile): void {
    file.place = this.#size++;
    if (this.#files === undefined) this.#files = [file];
    else this.#files[file.place] = file;
  }

  /** One that is in it: the last one takes its place. */
  delete(file: OpenFile): void {
    const files = this.#files as (OpenFile | undefined)[];
    const last = files[--this.#size] as OpenFile;
    files[this.#size] = undefined;
    if (last !== file) {
      files[file.place] = last;
      last.place = file.place;
    }
    if (this.#size === 0 && files.length > KEPT_PLACES) this.#files = undefined;
  }

  *[Symbol.iterator](): IterableIterator<OpenFile> {
    for (const file of this.#files ?? []) if (file !== undefined) yield file;
  }
}

export class InodeIo {
  readonly handles = new OpenFiles();
  /** Opens in cached mode. */
  cached = 0;
  /** Opens in direct mode. */
  direct = 0;
  /** Opens in passthrough mode, those whose reads and writes come to us included. */
  passthrough = 0;
  /** Of an id for opens whose bytes must pass us: it has no others, so that they always find a place. */
  apart = false;
  /** Of its opens those that are withheld and read pages of it: see withhold-open.ts. */
  withheld = 0;
  /** Says something while all its opens are withheld: the kernel has no pages of it, and gets none. */
  emptied = false;
  /** Counts the times that its pages began to be dropped for good. */
  emptyings = 0;
  /** What passthrough opens are tied to while there are any. */
  backing: Backing | undefined = undefined;
  /** Where it stands among those that were closed last; see idle-io.ts. */
  idlePlace = -1;
  /** The state of the file that the kernel's pages are of, where they may stay; see kept-pages.ts. */
  pagesOf: Uint32Array | undefined = undefined;
}
