/** Space in files: fallocate, holes, large offsets, copy_file_range, statfs. */
import { FALLOC, O, SEEK } from "@sluice/vfs";
import { file, sparse } from "../../tree/tree.js";
import type { Case } from "../case.js";

const TIB = 2 ** 40;

export const spaceCases: readonly Case[] = [
  {
    name: "fallocate extends keeps size punches and zeroes",
    lower: { f: file("abcdefgh".repeat(2048)) },
    async run(t) {
      const fd = t.open("f", O.RDWR);
      await t.fallocate(fd, 0, 0, 20_000);
      t.fstat(fd);
      await t.fallocate(fd, FALLOC.KEEP_SIZE, 0, 40_000);
      t.fstat(fd);
      await t.fallocate(fd, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 4096, 4096);
      t.pread(fd, 6, 4093);
      await t.fallocate(fd, FALLOC.ZERO_RANGE, 100, 50);
      t.pread(fd, 6, 97);
      await t.fallocate(fd, FALLOC.PUNCH_HOLE, 0, 10);
      await t.fallocate(fd, FALLOC.COLLAPSE_RANGE, 0, 4096);
      t.fstat(fd);
      await t.fallocate(fd, FALLOC.INSERT_RANGE, 0, 4096);
      t.fstat(fd);
      await t.fallocate(fd, 0, 0, 0);
      await t.fallocate(t.open("f", O.RDONLY), 0, 0, 10);
    },
  },
  {
    name: "SEEK_HOLE and SEEK_DATA in lower and upper files",
    lower: { f: sparse(1 << 20, { 0: "a".repeat(4096), 524_288: "b".repeat(4096) }) },
    run(t) {
      for (const flags of [O.RDONLY, O.RDWR]) {
        const fd = t.open("f", flags);
        t.seek(fd, 0, SEEK.HOLE);
        t.seek(fd, 0, SEEK.DATA);
        t.seek(fd, 10_000, SEEK.DATA);
        t.seek(fd, 600_000, SEEK.DATA);
        t.seek(fd, 600_000, SEEK.HOLE);
        t.seek(fd, 1 << 20, SEEK.HOLE);
        t.seek(fd, 5 << 20, SEEK.DATA);
        t.seek(fd, 0, SEEK.END);
        t.seek(fd, -1, SEEK.SET);
      }
    },
  },
  {
    name: "a sparse file of a tebibyte",
    lower: { low: sparse(TIB, { 0: "head", [TIB - 4]: "tail" }) },
    run(t) {
      t.stat("low");
      const low = t.open("low", O.RDWR);
      t.pread(low, 4, TIB - 4);
      t.pwrite(low, "TAIL", TIB - 4);
      t.stat("low");
      t.isSparse("low");
      const fd = t.open("new", O.CREAT | O.RDWR);
      t.ftruncate(fd, TIB);
      t.pwrite(fd, "middle", TIB / 2);
      t.seek(fd, 0, SEEK.DATA);
      t.seek(fd, TIB / 2 + 8192, SEEK.DATA);
      t.pread(fd, 6, TIB / 2);
      t.pwrite(fd, "past", TIB + 5);
      t.fstat(fd);
      t.ftruncate(fd, 2 ** 62);
    },
  },
  {
    name: "copy_file_range between files and within one",
    lower: { from: file("0123456789".repeat(1000)), to: "target" },
    async run(t) {
      const from = t.open("from", O.RDONLY);
      const to = t.open("to", O.RDWR);
      await t.copyRange(from, 10, { fd: to, at: 3 }, 20);
      t.pread(to, 40, 0);
      await t.copyRange(from, 9990, { fd: to, at: 0 }, 100);
      await t.copyRange(from, 20_000, { fd: to, at: 0 }, 100);
      await t.copyRange(to, 0, { fd: to, at: 100 }, 10);
      await t.copyRange(to, 0, { fd: to, at: 5 }, 50);
      await t.copyRange(to, 0, { fd: from, at: 0 }, 10);
      t.fstat(to);
      const fresh = t.open("fresh", O.CREAT | O.RDWR);
      await t.copyRange(from, 0, { fd: fresh, at: 0 }, 10_000);
      t.fstat(fresh);
      t.pread(fresh, 10, 9990);
    },
  },
  {
    name: "statfs tells of the upper file system",
    lower: { f: "x" },
    run(t) {
      t.statfs(".");
      t.statfs("f");
    },
  },
  {
    name: "truncate up and down",
    lower: { f: "lower content", big: sparse(1 << 20, { 0: "x" }) },
    run(t) {
      const fd = t.open("f", O.RDWR);
      t.ftruncate(fd, 100);
      t.pread(fd, 20, 0);
      t.ftruncate(fd, 5);
      t.ftruncate(fd, 10);
      t.pread(fd, 20, 0);
      t.perl("truncate by path", "truncate('big', 10) or print $!; print -s 'big'");
      t.perl("truncate of others", "truncate('.', 10) or print \"$!\"; truncate('missing', 10) or print \" $!\"");
      t.stat("big");
    },
  },
];
