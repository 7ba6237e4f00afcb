/** Sizes of the protocol, and 64-bit values as two little-endian 32-bit words. All structures are multiples of 8 bytes. */
import type { FileOffset } from "@sluice/vfs";

export const PROTOCOL_MAJOR = 7;
export const PROTOCOL_MINOR = 45;
/** The oldest minor spoken here: 7.31, of Linux 5.4. */
export const OLDEST_MINOR = 31;

export const IN_HEADER_BYTES = 40;
export const IN_HEADER_WORDS = 10;
export const OUT_HEADER_BYTES = 16;
export const OUT_HEADER_WORDS = 4;
/** fuse_write_in behind the header: where a WRITE's data starts. */
export const WRITE_DATA_OFFSET = 80;
export const ENTRY_OUT_BYTES = 128;
export const ATTR_OUT_BYTES = 104;
export const OPEN_OUT_BYTES = 16;
export const STATFS_OUT_BYTES = 80;
export const STATX_OUT_BYTES = 288;
export const INIT_OUT_BYTES = 64;
export const LK_OUT_BYTES = 24;
export const DIRENT_BYTES = 24;
/** FUSE_UNIQUE_RESEND (bit 63) in the high word of a request's unique. */
export const RESEND_BIT_HI = 0x8000_0000;

const HI = 0x1_0000_0000;
/** High word below which a 64-bit value is a safe integer. */
const SAFE_HI = 0x20_0000;
/** An id that is no id: see `readId`. */
export const BAD_ID = -1;

export function align8(sizeBytes: number): number {
  return (sizeBytes + 7) & ~7;
}

/** An id that we gave (nodeId, handle), or BAD_ID if it cannot be one of ours. */
export function readId(words: Uint32Array, at: number): number {
  const hi = words[at + 1] as number;
  return hi < SAFE_HI ? hi * HI + (words[at] as number) : BAD_ID;
}

/** A signed 64-bit value: a number while it is a safe integer, else a bigint. */
export function readOffset(words: Uint32Array, at: number): FileOffset {
  const hi = words[at + 1] as number;
  if (hi < SAFE_HI) return hi * HI + (words[at] as number);
  const value = (BigInt(hi | 0) << 32n) | BigInt(words[at] as number);
  return value < 0n && value >= -0x1f_ffff_ffff_ffffn ? Number(value) : value;
}

export function readU64(words: Uint32Array, at: number): bigint {
  return (BigInt(words[at + 1] as number) << 32n) | BigInt(words[at] as number);
}

/** Writes a safe integer (negative ones as two's complement) or a bigint. */
export function writeU64(words: Uint32Array, at: number, value: FileOffset): void {
  if (typeof value === "number") {
    words[at] = value % HI;
    words[at + 1] = Math.floor(value / HI);
  } else {
    words[at] = Number(BigInt.asUintN(32, value));
    words[at + 1] = Number(BigInt.asUintN(32, value >> 32n));
  }
}
