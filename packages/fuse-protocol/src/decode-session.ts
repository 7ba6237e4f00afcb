/** Decoders of the requests about the connection itself: INIT, FORGET, BATCH_FORGET, INTERRUPT. */
import { Errno } from "@sluice/vfs";
import type { Request } from "./request.js";
import { BAD_ID, IN_HEADER_WORDS as BODY, readId } from "./wire.js";

/** The kernel's offer. Before INIT_EXT (7.36) there is no flags2. */
export interface InitOffer {
  major: number;
  minor: number;
  maxReadaheadBytes: number;
  flags: number;
  flags2: number;
}

const INIT_EXT = 1 << 30;

/** The offer, or undefined if the request is too short for one. */
export function decodeInit(request: Request): InitOffer | undefined {
  if (request.need(8) !== 0) return undefined;
  const { words } = request;
  const long = request.need(16) === 0;
  const flags = long ? (words[BODY + 3] as number) : 0;
  const extended = (flags & INIT_EXT) !== 0 && request.need(20) === 0;
  return {
    major: words[BODY] as number,
    minor: words[BODY + 1] as number,
    maxReadaheadBytes: long ? (words[BODY + 2] as number) : 0,
    flags,
    flags2: extended ? (words[BODY + 4] as number) : 0,
  };
}

export interface ForgetSink {
  forget(node: number, count: number): void;
}

/** FORGET: fuse_forget_in. */
export function decodeForget(request: Request, sink: ForgetSink): number {
  if (request.need(8) !== 0) return Errno.EIO;
  return forgetOne(sink, request.nodeId, readId(request.words, BODY));
}

/** BATCH_FORGET: fuse_batch_forget_in, then pairs of node and count. Forgets every well-formed pair. */
export function decodeBatchForget(request: Request, sink: ForgetSink): number {
  if (request.need(8) !== 0) return Errno.EIO;
  const count = request.words[BODY] as number;
  if (request.need(8 + count * 16) !== 0) return Errno.EIO;
  let status: number = Errno.OK;
  for (let i = 0; i < count; i++) {
    const at = BODY + 2 + i * 4;
    status = forgetOne(sink, readId(request.words, at), readId(request.words, at + 2)) || status;
  }
  return status;
}

function forgetOne(sink: ForgetSink, node: number, count: number): number {
  if (node === BAD_ID || count === BAD_ID) return Errno.EINVAL;
  sink.forget(node, count);
  return Errno.OK;
}

/** INTERRUPT: the index in the words at which the unique of the request to interrupt lies (lo, hi), or -1. */
export function decodeInterrupt(request: Request): number {
  return request.need(8) === 0 ? BODY : -1;
}
