/** Bodies of replies about open files and the file system: fuse_open_out and the small ones. Each returns the body's length. */
import type { FileOffset, LockArgs, OpenOut, StatfsOut } from "@sluice/vfs";
import { Fopen } from "./message-flags.js";
import { LK_OUT_BYTES, OPEN_OUT_BYTES, STATFS_OUT_BYTES, writeU64 } from "./wire.js";

const MODE_FLAGS = {
  cached: 0,
  direct: Fopen.DIRECT_IO,
  passthrough: Fopen.PASSTHROUGH,
  "passthrough-direct": Fopen.PASSTHROUGH | Fopen.DIRECT_IO,
} as const satisfies Record<OpenOut["mode"], number>;

/** fuse_open_out of a file at word `at`. KEEP_CACHE with passthrough would be refused by the kernel with EIO. */
export function encodeOpen(words: Uint32Array, at: number, out: OpenOut): number {
  const passthrough = out.mode === "passthrough" || out.mode === "passthrough-direct";
  writeU64(words, at, out.handle);
  words[at + 2] = MODE_FLAGS[out.mode] | (out.keepCache && out.mode === "cached" ? Fopen.KEEP_CACHE : 0);
  words[at + 3] = passthrough ? out.backingId : 0;
  return OPEN_OUT_BYTES;
}

/** fuse_open_out of a directory. KEEP_CACHE too: without it the kernel drops the listing that CACHE_DIR lets it cache. */
export function encodeOpendir(words: Uint32Array, at: number, out: OpenOut): number {
  writeU64(words, at, out.handle);
  words[at + 2] = out.keepCache ? Fopen.CACHE_DIR | Fopen.KEEP_CACHE : 0;
  words[at + 3] = 0;
  return OPEN_OUT_BYTES;
}

/** fuse_write_out, fuse_getxattr_out: a 32-bit size. */
export function encodeSize(words: Uint32Array, at: number, sizeBytes: number): number {
  words[at] = sizeBytes;
  words[at + 1] = 0;
  return 8;
}

/** fuse_lseek_out, fuse_copy_file_range_out: a 64-bit value. */
export function encodeOffset(words: Uint32Array, at: number, value: FileOffset): number {
  writeU64(words, at, value);
  return 8;
}

/** fuse_ioctl_out before its output bytes. */
export function encodeIoctl(words: Uint32Array, at: number): number {
  words.fill(0, at, at + 4);
  return 16;
}

/** fuse_statfs_out. */
export function encodeStatfs(words: Uint32Array, at: number, out: StatfsOut): number {
  writeU64(words, at, out.blocks);
  writeU64(words, at + 2, out.bfree);
  writeU64(words, at + 4, out.bavail);
  writeU64(words, at + 6, out.files);
  writeU64(words, at + 8, out.ffree);
  words[at + 10] = out.bsize;
  words[at + 11] = out.namelen;
  words[at + 12] = out.frsize;
  words.fill(0, at + 13, at + STATFS_OUT_BYTES / 4);
  return STATFS_OUT_BYTES;
}

/** fuse_lk_out. */
export function encodeLock(words: Uint32Array, at: number, lock: LockArgs): number {
  writeU64(words, at, lock.start);
  writeU64(words, at + 2, lock.end);
  words[at + 4] = lock.type;
  words[at + 5] = lock.pid;
  return LK_OUT_BYTES;
}
