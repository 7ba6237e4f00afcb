/** One entry of the dispatch table: an operation that is answered. */
import type { Request } from "@sluice/fuse-protocol";
import { OUT_HEADER_WORDS } from "@sluice/fuse-protocol";
import type { Filesystem, Status } from "@sluice/vfs";
import type { DataPool } from "../requests/buffer-pools.js";
import type { Slot } from "../requests/slots.js";

/** Everything that a handler may use besides its slot. */
export interface HandlerContext {
  readonly filesystem: Filesystem;
  readonly data: DataPool;
  /** SETXATTR_EXT was negotiated: SETXATTR has the long form. */
  setxattrExtended: boolean;
}

export interface Handler {
  /** Decodes and calls the filesystem. Returns the reply's status. */
  readonly start: (context: HandlerContext, slot: Slot, request: Request) => Status;
  /** Writes the reply's body behind its header, for status 0; returns its length. */
  readonly encode: (slot: Slot, words: Uint32Array) => number;
  /** The kernel refused the reply: return the references in it (a lookup count, a handle). */
  readonly refused?: (context: HandlerContext, slot: Slot) => Status;
  /** Its effect must not happen twice: it is recorded until it is answered. */
  readonly once?: true;
  /** An argument points into the request's bytes: they must live until the reply. */
  readonly pinsRequest?: true;
}

/** The offset of a body, in words. */
export const BODY = OUT_HEADER_WORDS;

export const noBody = (): number => 0;
