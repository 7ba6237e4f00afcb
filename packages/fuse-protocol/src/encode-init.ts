/** fuse_init_out of 7.43 and later (64 bytes; older kernels of 7.23 and up take the same length). */
import { INIT_OUT_BYTES } from "./wire.js";

export interface InitReply {
  major: number;
  minor: number;
  maxReadaheadBytes: number;
  flags: number;
  flags2: number;
  maxBackground: number;
  congestionThreshold: number;
  maxWriteBytes: number;
  /** Granularity of times in nanoseconds. */
  timeGranNs: number;
  maxPages: number;
  maxStackDepth: number;
}

export function encodeInit(words: Uint32Array, at: number, reply: InitReply): number {
  words.fill(0, at, at + INIT_OUT_BYTES / 4);
  words[at] = reply.major;
  words[at + 1] = reply.minor;
  words[at + 2] = reply.maxReadaheadBytes;
  words[at + 3] = reply.flags;
  words[at + 4] = reply.maxBackground | (reply.congestionThreshold << 16);
  words[at + 5] = reply.maxWriteBytes;
  words[at + 6] = reply.timeGranNs;
  words[at + 7] = reply.maxPages;
  words[at + 8] = reply.flags2;
  words[at + 9] = reply.maxStackDepth;
  return INIT_OUT_BYTES;
}
