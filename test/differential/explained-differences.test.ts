/** The table of intended differences explains these lines, and must not explain others. */
import { expect, test } from "vitest";
import { explanationsOf, type Found } from "./compare/intended-differences.js";

const LINE = "file 4755 0:0 mtime=now nlink=2 size=0 da39";

function found(kernel: string, sluice: string, more: Partial<Found> = {}): Found {
  const place = { kind: "upper" as const, path: "s0/a", refused: new Set<string>(), swapped: false, ours: {}, theirs: {} };
  return { mode: "granted", place, kernel, sluice, history: { aclRemoved: false, far: false, completed: false, linked: false }, ...more };
}

const names = (one: Found): string[] => explanationsOf(one).map(({ name }) => name);

test("two documented differences together explain a line in which both occur", () => {
  const both = found(LINE, LINE.replace("4755", "755").replace("nlink=2", "nlink=3"));
  expect(names(both)).toEqual(["every write clears setuid", "all names of a file are copied up together"]);
});

test("a line with one more difference is not explained", () => {
  const strange = found(LINE, LINE.replace("4755", "755").replace("nlink=2", "nlink=3").replace("da39", "0beef"));
  expect(names(strange)).toEqual([]);
});

test("setuid that only Sluice's file still has is explained only if the layers changed hands", () => {
  const turned = found(LINE.replace("4755", "755"), LINE);
  expect(names(turned)).toEqual([]);
  const place = { ...turned.place, swapped: true } as Found["place"];
  expect(names({ ...turned, place })).toEqual(["every write clears setuid"]);
});

test("setuid cleared by a write that passes the daemon by is explained, and by no other call", () => {
  expect(names(found(LINE, LINE.replace("4755", "755"), { mode: "mediated" }))).toEqual([]);
});

test("marks of a refused call are explained only for the names of that call", () => {
  const kernel = "directory 755 0:0 mtime=now";
  const sluice = "directory 755 0:0 mtime=950000000.000000000";
  expect(names(found(kernel, sluice))).toEqual([]);
  const { place } = found(kernel, sluice);
  const refused = { ...place, refused: new Set(["s0/a"]) } as Found["place"];
  expect(names(found(kernel, sluice, { place: refused }))).toEqual(["a refused call leaves nothing in upper"]);
  expect(names(found(sluice, kernel, { place: refused }))).toEqual([]);
});

const METADATA_ONLY = 'file 644 0:0 mtime=now nlink=2 size=63 da39 trusted.overlay.metacopy="" redirect="/s0/a"';

test("the redirect of a metadata-only copy is explained only for a file with several names", () => {
  const other = METADATA_ONLY.replace("/s0/a", "/s0/b");
  const directory = METADATA_ONLY.replace("file ", "directory ");
  expect(names(found(directory, directory.replace("/s0/a", "/s0/b")))).toEqual([]);
  expect(names(found(METADATA_ONLY, other.replace("nlink=2", "nlink=3")))).toEqual(["all names of a file are copied up together"]);
  expect(names(found(...([METADATA_ONLY, other].map((line) => line.replace("nlink=2", "nlink=1")) as [string, string])))).toEqual([]);
});

test("data in place of a metadata-only copy is explained only after an open file got a name", () => {
  const whole = 'file 644 0:0 mtime=now nlink=2 size=63 "content"';
  expect(names(found(METADATA_ONLY, whole))).toEqual([]);
  const linked = { history: { aclRemoved: false, far: false, completed: false, linked: true } };
  expect(names(found(METADATA_ONLY, whole, linked))).toEqual(["an open file that gets a name again gets its data, too"]);
  expect(names(found(METADATA_ONLY, whole.replace("size=63", "size=62"), linked))).toEqual([]);
});
