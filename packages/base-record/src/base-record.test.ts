import { appendFileSync, linkSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { native, openRealDirectory } from "@sluice/native";
import { cleanUp, scratch } from "@sluice/testkit";
import { AT, Attr, O } from "@sluice/vfs";
import { expect, test } from "vitest";
import { BaseRecorder } from "./base-recorder.js";
import { BaseRecords } from "./base-records.js";
import { type BaseEntry, CONTENTS, ENTRIES, identityIn, MAX_COPIED_BYTES } from "./entry.js";
import { joinRecords } from "./join-records.js";

const openAt = (path: string): number => openRealDirectory(path, O.RDONLY);

/** A file, as the recorder gets it. */
function open(path: string): { fd: number; attr: Attr } {
  const attr = new Attr();
  const fd = native.openat(AT.FDCWD, path, O.RDONLY, 0);
  cleanUp(() => void native.close(fd));
  native.statx(fd, "", AT.EMPTY_PATH, attr.words);
  return { fd, attr };
}

function recorderIn(directory: string): BaseRecorder {
  const recorder = new BaseRecorder(openAt(directory));
  cleanUp(() => recorder.close());
  return recorder;
}

function recordsIn(directory: string): BaseRecords {
  const fd = openAt(directory);
  cleanUp(() => void native.close(fd));
  return new BaseRecords([fd]);
}

function contentAt(records: BaseRecords, path: string): string | undefined {
  return records.contentAt(path)?.toString("latin1");
}

test("a file is found by its path with its bytes, and by its identity, which a new name of it changes", async () => {
  const at = scratch();
  const name = "\xff\n new";
  const contents = { small: "small", medium: "medium".repeat(40_000) };
  for (const [file, text] of Object.entries(contents)) writeFileSync(join(at, file), text);
  const directory = scratch();
  const recorder = recorderIn(directory);
  for (const [path, file] of [
    [name, "small"],
    ["m", "medium"],
  ] as const) {
    const { fd, attr } = open(join(at, file));
    expect(await recorder.noteFile(path, attr, fd)).toBe(0);
  }
  const records = recordsIn(directory);
  expect(contentAt(records, name)).toBe(contents.small);
  expect(contentAt(records, "m")).toBe(contents.medium);
  expect(records.hasSeen(identityIn(open(join(at, "small")).attr))).toBe(true);
  linkSync(join(at, "small"), join(at, "again"));
  expect(records.hasSeen(identityIn(open(join(at, "again")).attr))).toBe(false);
});

test("another name of a recorded file has its bytes, and in another record its identity alone", async () => {
  const [at, first, second] = [scratch(), scratch(), scratch()];
  writeFileSync(join(at, "one"), "one");
  const { fd, attr } = open(join(at, "one"));
  await recorderIn(first).noteFile("one", attr, fd);
  const entry = recordsIn(first).withIdentity(identityIn(attr));
  for (const directory of [first, second]) expect(recorderIn(directory).noteName("two", entry as BaseEntry)).toBe(0);
  expect(contentAt(recordsIn(first), "two")).toBe("one");
  expect(contentAt(recordsIn(second), "two")).toBeUndefined();
  expect(recordsIn(second).at("two")?.identity).toBe(identityIn(attr));
});

test("a line that was cut short is skipped, and a damaged content is none", async () => {
  const [at, directory] = [scratch(), scratch()];
  for (const file of ["one", "two"]) writeFileSync(join(at, file), file);
  const [one, two] = ["one", "two"].map((file) => open(join(at, file)));
  await recorderIn(directory).noteFile("one", one?.attr as Attr, one?.fd as number);
  appendFileSync(join(directory, ENTRIES), '\n{"path":"cut","ide');
  await recorderIn(directory).noteFile("two", two?.attr as Attr, two?.fd as number);
  expect(contentAt(recordsIn(directory), "one")).toBe("one");
  expect(contentAt(recordsIn(directory), "two")).toBe("two");
  expect(recordsIn(directory).at("cut")).toBeUndefined();
  writeFileSync(join(directory, CONTENTS), "onetwX");
  expect(contentAt(recordsIn(directory), "one")).toBe("one");
  expect(contentAt(recordsIn(directory), "two")).toBeUndefined();
  truncateSync(join(directory, CONTENTS), 3);
  expect(contentAt(recordsIn(directory), "one")).toBe("one");
  expect(contentAt(recordsIn(directory), "two")).toBeUndefined();
});

test("a file that changes while it is recorded has no content, and a large one is never copied", async () => {
  const [at, directory] = [scratch(), scratch()];
  writeFileSync(join(at, "changing"), "before");
  writeFileSync(join(at, "large"), Buffer.alloc(MAX_COPIED_BYTES + 1));
  const recorder = recorderIn(directory);
  const changing = open(join(at, "changing"));
  writeFileSync(join(at, "changing"), "after!");
  await recorder.noteFile("changing", changing.attr, changing.fd);
  const large = open(join(at, "large"));
  await recorder.noteFile("large", large.attr, large.fd);
  const records = recordsIn(directory);
  expect(records.at("changing")?.identity).toBe(identityIn(changing.attr));
  expect(contentAt(records, "changing")).toBeUndefined();
  expect(statSync(join(directory, CONTENTS)).size).toBe(0);
  const { clone } = records.at("large") ?? {};
  expect(readdirSync(directory).sort()).toEqual([...(clone === undefined ? [] : [clone]), CONTENTS, ENTRIES].sort());
});

test("a recorder that goes on in another directory changes nothing in the first one, and nothing that the second one has", async () => {
  const [at, first, second] = [scratch(), scratch(), scratch()];
  for (const file of ["one", "two", "earlier"]) writeFileSync(join(at, file), file);
  const [one, two, earlier] = ["one", "two", "earlier"].map((file) => open(join(at, file)));
  await recorderIn(second).noteFile("earlier", earlier?.attr as Attr, earlier?.fd as number);
  const recorder = recorderIn(first);
  await recorder.noteFile("one", one?.attr as Attr, one?.fd as number);
  recorder.continueIn(new BaseRecorder(openAt(second)));
  await recorder.noteFile("two", two?.attr as Attr, two?.fd as number);
  expect(contentAt(recordsIn(first), "one")).toBe("one");
  expect(recordsIn(first).at("two")).toBeUndefined();
  expect(recordsIn(second).at("one")).toBeUndefined();
  expect(["earlier", "two"].map((name) => contentAt(recordsIn(second), name))).toEqual(["earlier", "two"]);
});

test("knows which names of a file with several names were changed by others, also in a record of several", async () => {
  const [at, first, second, joined] = [scratch(), scratch(), scratch(), scratch()];
  writeFileSync(join(at, "one"), "one");
  writeFileSync(join(at, "alone"), "alone");
  linkSync(join(at, "one"), join(at, "other"));
  const recorder = recorderIn(first);
  for (const path of ["one", "alone"]) {
    const { fd, attr } = open(join(at, path));
    await recorder.noteFile(path, attr, fd);
  }
  expect(recorderIn(second).noteShared("other")).toBe(0);
  const into = openAt(joined);
  cleanUp(() => void native.close(into));
  expect(joinRecords([openAt(first), openAt(second)], into)).toBe(0);
  const records = recordsIn(joined);
  expect(["one", "other", "alone", "none"].filter((path) => records.isShared(path))).toEqual(["one", "other"]);
  expect([records.at("other"), contentAt(records, "one")]).toEqual([undefined, "one"]);
});

test("a record of several has the bytes of each, and of a path in two of them those of the later one", async () => {
  const [at, first, second, joined] = [scratch(), scratch(), scratch(), scratch()];
  const recorders = [recorderIn(first), recorderIn(second)];
  for (const [record, file] of [
    [0, "early"],
    [0, "both"],
    [1, "late"],
    [1, "both"],
  ] as const) {
    writeFileSync(join(at, file), `${file} in ${record}`);
    const { fd, attr } = open(join(at, file));
    expect(await recorders[record]?.noteFile(file, attr, fd)).toBe(0);
  }
  // A reflink, as a recorder makes it of a large file on a file system that has them.
  const { content: _, ...entry } = recordsIn(second).at("late") as BaseEntry;
  writeFileSync(join(second, "reflink"), "large");
  appendFileSync(join(second, ENTRIES), `\n${JSON.stringify({ ...entry, path: "large", clone: "reflink" })}`);
  const [into, ...from] = [joined, first, second].map(openAt) as [number, number, number];
  cleanUp(() => [into, ...from].forEach((fd) => void native.close(fd)));
  expect(joinRecords(from, into)).toBe(0);
  const records = recordsIn(joined);
  const contents = ["early", "late", "both", "large"].map((path) => contentAt(records, path));
  expect(contents).toEqual(["early in 0", "late in 1", "both in 1", "large"]);
});
