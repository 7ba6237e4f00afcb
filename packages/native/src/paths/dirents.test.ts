import { describe, expect, it } from "vitest";
import { parseDirents } from "./dirents.js";

function record(name: string, offset: bigint): Buffer {
  const length = Math.ceil((19 + name.length + 1) / 8) * 8;
  // Filled with garbage first: the kernel leaves old bytes behind the name's NUL.
  const bytes = Buffer.alloc(length, 0x5a);
  bytes.writeUInt32LE(7, 0);
  bytes.writeUInt32LE(0x80000001, 4);
  bytes.writeBigInt64LE(offset, 8);
  bytes.writeUInt16LE(length, 16);
  bytes.writeUInt8(8, 18);
  bytes.write(`${name}\0`, 19, "latin1");
  return bytes;
}

describe("parseDirents", () => {
  it.each(["a", "abcd", "abcde", "abcdefgh", "\xff\xfe", "x".repeat(255)])(
    "ends the name %j at its NUL, not at the record's end",
    (name) => {
      const seen: unknown[] = [];
      const bytes = Buffer.concat([record(name, 1n), record("next", 2n)]);
      parseDirents(bytes, bytes.length, (...entry) => seen.push(entry));
      expect(seen).toEqual([
        [name, 7, 0x80000001, 8, 1],
        ["next", 7, 0x80000001, 8, 2],
      ]);
    },
  );

  it("gives a cookie as a number while it is exact, else as a bigint", () => {
    const offsets: unknown[] = [];
    for (const offset of [2n ** 53n - 1n, 2n ** 53n, 0x7fffffffffffffffn]) {
      const bytes = record("n", offset);
      parseDirents(bytes, bytes.length, (...entry) => offsets.push(entry[4]));
    }
    expect(offsets).toEqual([2 ** 53 - 1, 2n ** 53n, 0x7fffffffffffffffn]);
  });

  it("refuses records that do not fit", () => {
    const bytes = record("name", 1n);
    const visit = (): void => {};
    expect(() => parseDirents(bytes, bytes.length - 1, visit)).toThrow(RangeError);
    expect(() => parseDirents(bytes, 10, visit)).toThrow(RangeError);
    bytes.writeUInt16LE(0, 16);
    expect(() => parseDirents(bytes, bytes.length, visit)).toThrow(RangeError);
  });
});
