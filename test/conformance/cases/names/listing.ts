/** Reads of directories: large ones, changing ones, and from the start again. */
import { native, parseDirents } from "@sluice/native";
import { AT, O, SEEK } from "@sluice/vfs";
import type { Probe } from "../../probe/probe.js";
import { dir, file, symlink, type Tree, whiteout } from "../../tree/tree.js";
import type { Case } from "../case.js";

/** Each layer has more names than are counted to tell how large a buffer has to be, and than a few buffers hold. */
const MANY = 4_400;

/** Links, since a file takes twice as long to plant and to compare. */
function numbered(prefix: string, count: number): Tree {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, symlink("target")]));
}

/** One buffer of names. */
function some(fd: number, sizeBytes: number): string[] {
  const bytes = Buffer.alloc(sizeBytes);
  const length = native.getdents64(fd, bytes);
  const names: string[] = [];
  if (length > 0) parseDirents(bytes, length, (name) => void names.push(name));
  return names;
}

function everything(fd: number): string[] {
  const all: string[] = [];
  for (let names = some(fd, 4096); names.length > 0; names = some(fd, 4096)) all.push(...names);
  return all;
}

function summary(t: Probe, what: string, names: readonly string[]): void {
  t.note(what, { count: names.length, distinct: new Set(names).size, dots: names.filter((name) => name === "." || name === "..").length });
}

export const listingCases: readonly Case[] = [
  {
    name: "a directory of thousands of entries in two layers",
    lower: { d: dir(numbered("low", MANY / 2)) },
    upper: { d: dir({ ...numbered("up", MANY / 2), low5: whiteout(), low6: file("") }) },
    run(t) {
      const fd = t.open("d", O.RDONLY | O.DIRECTORY);
      const names = everything(fd);
      summary(t, "all", names);
      t.note("whiteout hidden", names.includes("low5"));
      t.close(fd);
      t.unlink("d/low7");
      t.create("d/last");
      const again = t.open("d", O.RDONLY | O.DIRECTORY);
      summary(t, "after a change", everything(again));
      t.close(again);
    },
  },
  {
    name: "removing while reading leaves nothing",
    lower: { d: dir(numbered("low", 700)) },
    upper: { d: dir(numbered("up", 700)) },
    run(t) {
      for (let round = 0; round < 2; round++) {
        const fd = t.open("d", O.RDONLY | O.DIRECTORY);
        let failed = 0;
        for (let names = some(fd, 1024); names.length > 0; names = some(fd, 1024)) failed += unlinkAll(t, names);
        t.note("failed", failed);
        t.close(fd);
      }
      t.list("d");
      t.rmdir("d");
    },
  },
  {
    name: "rewinding shows what was made meanwhile",
    lower: { d: dir({ a: "1", b: "1" }) },
    run(t) {
      const fd = t.open("d", O.RDONLY | O.DIRECTORY);
      t.note("first", everything(fd).sort());
      t.create("d/c");
      t.unlink("d/a");
      t.note("at the end", everything(fd).sort());
      t.note("rewind", Number(native.lseek(fd, 0, SEEK.SET)));
      t.note("again", everything(fd).sort());
      t.close(fd);
    },
  },
  {
    name: "cookies lead back to where they were given",
    lower: { d: dir(numbered("n", 300)) },
    run(t) {
      const fd = t.open("d", O.RDONLY | O.DIRECTORY);
      const first = some(fd, 1024);
      const cookie = native.lseek(fd, 0, SEEK.CUR);
      const rest = everything(fd);
      native.lseek(fd, cookie, SEEK.SET);
      const again = everything(fd);
      t.note("all seen", first.length + rest.length);
      t.note("same again", rest.join() === again.join());
      t.close(fd);
    },
  },
  {
    name: "renaming while reading shows each file at most once by each name",
    lower: { d: dir(numbered("n", 200)) },
    run(t) {
      const fd = t.open("d", O.RDONLY | O.DIRECTORY);
      const seen = some(fd, 1024);
      native.renameat2(AT.FDCWD, t.at("d/n150"), AT.FDCWD, t.at("d/moved"), 0);
      const all = [...seen, ...everything(fd)];
      t.note("distinct", new Set(all).size === all.length);
      t.note("others are all there", numberedMissing(all));
      t.close(fd);
    },
  },
  {
    name: "an empty directory has its two dots",
    lower: { d: dir() },
    run(t) {
      t.mkdir("new");
      for (const path of ["d", "new"]) {
        const fd = t.open(path, O.RDONLY | O.DIRECTORY);
        t.note(path, everything(fd).sort());
        t.close(fd);
      }
    },
  },
];

/** The number of names that could not be removed. */
function unlinkAll(t: Probe, names: readonly string[]): number {
  const entries = names.filter((name) => name !== "." && name !== "..");
  return entries.filter((name) => native.unlinkat(AT.FDCWD, t.at(`d/${name}`), 0) < 0).length;
}

function numberedMissing(names: readonly string[]): number {
  let missing = 0;
  for (let i = 0; i < 200; i++) if (i !== 150 && !names.includes(`n${i}`)) missing++;
  return missing;
}
