/** Replies and notifications as annotated bytes, little-endian words in hexadecimal. */
import { Attr, type EntryOut } from "@sluice/vfs";
import { describe, expect, it } from "vitest";
import {
  ByteBuffer,
  DirectoryEncoder,
  eachListedNode,
  encodeDelete,
  encodeEntry,
  encodeHeader,
  encodeInit,
  encodeInvalidateEntry,
  encodeInvalidateInode,
  encodeOpen,
  encodeStatx,
  Fopen,
  initFlagNames,
  initFlagWords,
  writeU64,
} from "./index.js";

function entry(nodeId: number): EntryOut {
  const attr = new Attr();
  for (let i = 0; i < 32; i++) attr.words[i] = 100 + i;
  return { nodeId, generation: 3, entryTtlMs: 1500, attrTtlMs: 0, attr };
}
const fresh = (): ByteBuffer => {
  const buffer = new ByteBuffer(1024);
  buffer.bytes.fill(0xee);
  return buffer;
};
const words = (buffer: ByteBuffer, from: number, count: number): number[] => [...buffer.words.subarray(from, from + count)];

describe("replies", () => {
  it("start with a header whose error is negative", () => {
    const buffer = fresh();
    expect(encodeHeader(buffer.words, { uniqueLo: 2, uniqueHi: 0x8000_0000 }, 2, 8)).toBe(24);
    expect(words(buffer, 0, 4)).toEqual([24, 0xffff_fffe, 2, 0x8000_0000]);
  });

  it("hold an entry: ids, times to live, attributes, and no attribute flags", () => {
    const buffer = fresh();
    expect(encodeEntry(buffer.words, 4, entry(0x1_0000_0005))).toBe(128);
    expect(words(buffer, 4, 10)).toEqual([5, 1, 3, 0, 1, 0, 0, 0, 500_000_000, 0]);
    expect(words(buffer, 14, 22)).toEqual([...entry(1).attr.words.subarray(0, 21), 0]);
    expect(buffer.words[36]).toBe(0xeeee_eeee);
  });

  it("saturate a time to live without end", () => {
    const buffer = fresh();
    encodeEntry(buffer.words, 0, { ...entry(1), entryTtlMs: Number.POSITIVE_INFINITY, attrTtlMs: -1 });
    expect(words(buffer, 4, 6)).toEqual([0x7fff_ffff, 0, 0, 0, 0, 0]);
  });

  it("hold a statx with the birth time if there is one", () => {
    const buffer = fresh();
    const { attr } = entry(1);
    attr.words[19] = (0x12345 & 0xff) | (0x0fe << 8) | ((0x12345 & ~0xff) << 12);
    attr.words[15] = 0o100644;
    attr.words[30] = 0xfff;
    expect(encodeStatx(buffer.words, 0, { attrTtlMs: 1000, attr })).toBe(288);
    expect(words(buffer, 8, 8)).toEqual([0xfff, 120, 0, 0, 116, 117, 118, 0o100644]);
    expect(words(buffer, 28, 3)).toEqual([126, 127, 128]);
    expect(words(buffer, 40, 2)).toEqual([0xfe, 0x12345]);
    attr.words[30] = 0x7ff;
    encodeStatx(buffer.words, 0, { attrTtlMs: 1000, attr });
    expect(buffer.words[8]).toBe(0x7ff);
  });

  it.each([
    ["cached", true, Fopen.KEEP_CACHE, 0],
    ["cached", false, 0, 0],
    ["direct", true, Fopen.DIRECT_IO, 0],
    ["passthrough", true, Fopen.PASSTHROUGH, 4],
    ["passthrough-direct", false, Fopen.PASSTHROUGH | Fopen.DIRECT_IO, 4],
  ] as const)("open %s (keep cache %s) with flags %d", (mode, keepCache, flags, id) => {
    const buffer = fresh();
    encodeOpen(buffer.words, 0, { handle: 9, mode, keepCache, backingId: 4 });
    expect(words(buffer, 0, 4)).toEqual([9, 0, flags, id]);
  });

  it("agree on features by name", () => {
    const flags = initFlagWords(["INIT_EXT", "PASSTHROUGH", "ASYNC_READ"]);
    expect(flags).toEqual({ flags: 0x4000_0001, flags2: 0x20 });
    expect(initFlagNames(flags.flags, flags.flags2)).toEqual(["ASYNC_READ", "INIT_EXT", "PASSTHROUGH"]);
    const buffer = fresh();
    const reply = {
      major: 7,
      minor: 45,
      maxReadaheadBytes: 1,
      ...flags,
      maxBackground: 64,
      congestionThreshold: 48,
      maxWriteBytes: 2,
      timeGranNs: 1,
      maxPages: 256,
      maxStackDepth: 1,
    };
    expect(encodeInit(buffer.words, 0, reply)).toBe(64);
    expect(words(buffer, 0, 16)).toEqual([7, 45, 1, 0x4000_0001, 0x30_0040, 2, 1, 256, 0x20, 1, 0, 0, 0, 0, 0, 0]);
  });
});

describe("listings", () => {
  it("pad records with zeros and stop where the room ends", () => {
    const buffer = fresh();
    const listing = new DirectoryEncoder();
    listing.begin(buffer, 64);
    expect(listing.add({ name: "abc", inoLo: 5, inoHi: 6, type: 8, offset: 1 })).toBe(true);
    expect(listing.add({ name: "\xff234567", inoLo: 7, inoHi: 0, type: 4, offset: 2 ** 33 })).toBe(true);
    expect(listing.add({ name: "d", inoLo: 8, inoHi: 0, type: 4, offset: 3 })).toBe(false);
    expect(listing.length).toBe(64);
    expect(words(buffer, 4, 8)).toEqual([5, 6, 1, 0, 3, 8, 0x636261, 0]);
    expect(words(buffer, 12, 6)).toEqual([7, 0, 0, 2, 7, 4]);
    expect(buffer.bytes.subarray(72, 80)).toEqual(Buffer.from("\xff234567\0", "latin1"));
    expect(buffer.words[20]).toBe(0xeeee_eeee);
  });

  it("listings with attributes tell which lookups they counted", () => {
    const buffer = fresh();
    const listing = new DirectoryEncoder();
    listing.begin(buffer, 128 + 32 + 128 + 40 + 160);
    expect(listing.addPlus({ name: ".", inoLo: 1, inoHi: 0, type: 4, offset: 1 }, undefined)).toBe(true);
    expect(listing.addPlus({ name: "ninebytes", inoLo: 2, inoHi: 0, type: 8, offset: 2 }, entry(77))).toBe(true);
    expect(listing.fitsPlus(8)).toBe(true);
    expect(listing.fitsPlus(9)).toBe(false);
    const nodes: number[] = [];
    eachListedNode(buffer, listing.length, (node) => nodes.push(node));
    expect(nodes).toEqual([77]);
  });
});

describe("notifications", () => {
  it("carry their code where a reply has its error", () => {
    const buffer = fresh();
    expect(encodeInvalidateInode(buffer, 5, -1, -1)).toBe(40);
    expect(words(buffer, 0, 10)).toEqual([40, 2, 0, 0, 5, 0, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff]);
    expect(encodeInvalidateEntry(buffer, 1, "ab", true)).toBe(35);
    expect(words(buffer, 0, 8)).toEqual([35, 3, 0, 0, 1, 0, 2, 1]);
    expect(encodeDelete(buffer, { parent: 1, child: 9 }, "ab")).toBe(43);
    expect(words(buffer, 0, 10)).toEqual([43, 6, 0, 0, 1, 0, 9, 0, 2, 0]);
    expect(buffer.bytes.subarray(40, 43).toString()).toBe("ab\0");
  });
});

describe("64-bit values", () => {
  it.each([
    [0, 0, 0],
    [2 ** 53 - 1, 0xffff_ffff, 0x1f_ffff],
    [-1, 0xffff_ffff, 0xffff_ffff],
    [2n ** 63n - 1n, 0xffff_ffff, 0x7fff_ffff],
  ])("%s is two words", (value, lo, hi) => {
    const pair = new Uint32Array(2);
    writeU64(pair, 0, value);
    expect([...pair]).toEqual([lo, hi]);
  });
});
