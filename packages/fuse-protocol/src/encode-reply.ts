/** The header of a reply, and its destination. */
import type { ByteBuffer } from "./byte-buffer.js";
import { OUT_HEADER_BYTES } from "./wire.js";

/** The address of a reply: the request's unique, bit 63 (a resent request) included. */
export interface ReplyAddress {
  uniqueLo: number;
  uniqueHi: number;
  /** The transport's room for this very reply; undefined if it accepts one from any memory. */
  readonly room?: ReplyRoom | undefined;
}

/** The memory that one reply is built in, header first, and sent from. It overlaps the request's: decode that before. */
export interface ReplyRoom {
  readonly buffer: ByteBuffer;
  send(): void;
}

/** fuse_out_header for a body of `bodyBytes`; `errno` is positive here and negative on the wire. Returns the total length. */
export function encodeHeader(words: Uint32Array, to: ReplyAddress, errno: number, bodyBytes: number): number {
  const length = OUT_HEADER_BYTES + bodyBytes;
  words[0] = length;
  words[1] = -errno;
  words[2] = to.uniqueLo;
  words[3] = to.uniqueHi;
  return length;
}
