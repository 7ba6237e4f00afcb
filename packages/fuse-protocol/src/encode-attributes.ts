/** Bodies of replies that carry attributes: fuse_entry_out, fuse_attr_out, fuse_statx_out. Each returns the body's length. */
import type { AttrOut, EntryOut } from "@sluice/vfs";
import { ATTR_OUT_BYTES, ENTRY_OUT_BYTES, STATX_OUT_BYTES, writeU64 } from "./wire.js";

const ATTR_FLAGS = 21;
/** Beyond this the kernel's own arithmetic of jiffies is saturated anyway. */
const TTL_MAX_SEC = 0x7fff_ffff;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BTIME = 0x800;

/** fuse_entry_out at word `at`. nodeId 0 with a time to live is a negative entry. */
export function encodeEntry(words: Uint32Array, at: number, entry: EntryOut): number {
  writeU64(words, at, entry.nodeId);
  writeU64(words, at + 2, entry.generation);
  writeTtl(words, entry.entryTtlMs, at + 4, at + 8);
  writeTtl(words, entry.attrTtlMs, at + 6, at + 9);
  writeAttr(words, at + 10, entry.attr.words);
  return ENTRY_OUT_BYTES;
}

/** fuse_attr_out at word `at`. */
export function encodeAttr(words: Uint32Array, at: number, out: AttrOut): number {
  writeTtl(words, out.attrTtlMs, at, at + 2);
  words[at + 3] = 0;
  writeAttr(words, at + 4, out.attr.words);
  return ATTR_OUT_BYTES;
}

/** fuse_statx_out at word `at`: the basic fields, and the birth time if the attributes have one. */
export function encodeStatx(words: Uint32Array, at: number, out: AttrOut): number {
  words.fill(0, at, at + STATX_OUT_BYTES / 4);
  writeTtl(words, out.attrTtlMs, at, at + 2);
  const from = out.attr.words;
  const to = at + 8;
  words[to] = STATX_BASIC_STATS | ((from[30] as number) & STATX_BTIME);
  words[to + 1] = from[20] as number;
  for (let i = 0; i < 3; i++) words[to + 4 + i] = from[16 + i] as number;
  words[to + 7] = (from[15] as number) & 0xffff;
  for (let i = 0; i < 6; i++) words[to + 8 + i] = from[i] as number;
  writeTime(words, to + 16, from, { secAt: 6, nsecAt: 12 });
  writeTime(words, to + 20, from, { secAt: 26, nsecAt: 28 });
  writeTime(words, to + 24, from, { secAt: 10, nsecAt: 14 });
  writeTime(words, to + 28, from, { secAt: 8, nsecAt: 13 });
  const rdev = from[19] as number;
  words[to + 32] = (rdev >>> 8) & 0xfff;
  words[to + 33] = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  return STATX_OUT_BYTES;
}

function writeTime(words: Uint32Array, to: number, from: Uint32Array, field: { secAt: number; nsecAt: number }): void {
  words[to] = from[field.secAt] as number;
  words[to + 1] = from[field.secAt + 1] as number;
  words[to + 2] = from[field.nsecAt] as number;
}

/** A loop, not set(subarray()): that would make a view for each reply. SUBMOUNT and DAX flags are never ours to set. */
function writeAttr(words: Uint32Array, at: number, from: Uint32Array): void {
  for (let i = 0; i < ATTR_FLAGS; i++) words[at + i] = from[i] as number;
  words[at + ATTR_FLAGS] = 0;
}

/** Writes seconds (64 bits) at one place, nanoseconds at another. */
function writeTtl(words: Uint32Array, ttlMs: number, secAt: number, nsecAt: number): void {
  const ms = ttlMs > 0 ? ttlMs : 0;
  const sec = Math.min(Math.floor(ms / 1000), TTL_MAX_SEC);
  words[secAt] = sec;
  words[secAt + 1] = 0;
  words[nsecAt] = sec === TTL_MAX_SEC ? 0 : Math.floor((ms - sec * 1000) * 1_000_000);
}
