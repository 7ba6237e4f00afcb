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

export class InodeIo {
  readonly handles = new Set<OpenFile>();
  /** Opens in cached mode. */
  cached = 0;
  /** Opens in direct mode. */
  direct = 0;
  /** Opens in passthrough mode, those whose reads and writes come to us included. */
  passthrough = 0;
  /** Of an id for opens whose bytes must pass us: it never goes into passthrough, so that they always find a place. */
  apart = false;
  /** What passthrough opens are tied to while there are any. */
  backing: Backing | undefined = undefined;
  /** The state of the file that the kernel's pages are of, where they may stay; see kept-pages.ts. */
  pagesOf: Uint32Array | undefined = undefined;
}
