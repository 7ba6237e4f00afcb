import { Attr, type StatfsOut } from "@sluice/vfs";
import { expect, test } from "vitest";
import { foldIno, statfsWords, statWords } from "./stat-words.js";

test("keeps short inode numbers, and folds long ones to a number that is never 0", () => {
  expect(foldIno(12, 0)).toBe(12);
  expect(foldIno(12, 1)).not.toBe(foldIno(12, 2));
  expect(foldIno(0x9e3779b1, 1)).toBe(1);
});

test("times are milliseconds, and never before 1970", () => {
  const attr = new Attr();
  attr.words[6] = 1_000_000_000;
  attr.words[12] = 123_999_999;
  attr.words[8] = 0xffff_ffff;
  attr.words[9] = 0xffff_ffff;
  const words = statWords(attr);
  expect((words[13] as number) * 2 ** 32 + (words[12] as number)).toBe(1_000_000_000_123);
  expect([words[14], words[15]]).toEqual([0, 0]);
});

test("a file system with more blocks than 32 bits can count keeps its size", () => {
  const large: StatfsOut = {
    blocks: 2 ** 35,
    bfree: 2 ** 34,
    bavail: 2 ** 33,
    files: 2 ** 40,
    ffree: 1,
    bsize: 4096,
    namelen: 255,
    frsize: 4096,
  };
  const words = statfsWords(large);
  expect((words[2] as number) * (words[1] as number)).toBe(2 ** 35 * 4096);
  expect((words[3] as number) * (words[1] as number)).toBe(2 ** 34 * 4096);
  expect(words[5]).toBe(0xffff_ffff);
});
