// A disk may have another device number after a start of the machine: btrfs, an external disk, a container. Records on disk hold earlier numbers.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BaseRecorder, BaseRecords } from "@sluice/base-record";
import { diffSnapshots, file, hardLink, plant, requires, scratch, type Snapshot, snapshot, type Tree, whiteout } from "@sluice/testkit";
import { native, openRealDirectory } from "@sluice/native";
import { AT, Attr, O } from "@sluice/vfs";
import { expect } from "vitest";
import { NOTHING_KNOWN } from "../conflicts.js";
import { reviewLayers } from "../review.js";
import { reviewed } from "../testing/apply-planted.js";
import { untilCall } from "../testing/dying-system.js";
import { plantSession } from "../testing/plant-session.js";
import { recoverApply } from "./recover.js";
import { undoApply } from "./undo.js";

const { test } = requires("CAP_SYS_ADMIN");

const BASE: Tree = {
  edited: file("old"),
  gone: file("gone"),
  "dir/in": file("in"),
  "pair/a": file("two names"),
  "pair/b": hardLink("pair/a"),
  mode: file("m", { mode: 0o644 }),
};
const UPPER: Tree = {
  edited: file("new"),
  gone: whiteout(),
  dir: file("a file now"),
  "pair/a": file("changed"),
  "pair/b": hardLink("pair/a"),
  mode: file("m", { mode: 0o755 }),
  added: file("added"),
};

function treeOf(path: string): Snapshot {
  const all = snapshot(path, { hardLinks: true });
  return new Map([...all].map(([name, entry]) => [name, entry.type === "directory" ? { ...entry, mtimeNs: 0n } : entry]));
}

/** As earlier versions wrote them, too: with the number in front of each state. */
function renumber(session: string): void {
  for (const path of ["apply/begun.json", "apply/done.json", "undo/begun.json", "undo/done.json", "undo/undoing.json", "known.json"]) {
    const record = join(session, path);
    if (!existsSync(record)) continue;
    const text = readFileSync(record, "utf8");
    const states = /(\["[^"]*",")(?:\d+:\d+ )?(\d+ \d+ )/g;
    writeFileSync(record, text.replace(/"device":"[^"]*"/g, '"device":"250:77"').replace(states, "$1250:77 $2"));
  }
}

for (const [places, where] of [
  ["one disk", { base: "tmpfs", session: "tmpfs" }],
  ["two disks", { base: "disk", session: "tmpfs" }],
] as const)
  test(`on ${places} a killed apply is undone or finished, and reversed, although device numbers are others`, async () => {
    const session = await plantSession(BASE, UPPER, where);
    const [before, changes] = [treeOf(session.base), treeOf(session.upper)];
    let ended = false;
    for (let calls = 0; !ended; calls += 2) {
      const review = reviewed(session);
      expect(review.conflicts, `before ${calls} calls`).toEqual([]);
      ended = await untilCall(calls, () => review.apply());
      renumber(session.directory);
      recoverApply(session.place);
      if (readdirSync(session.upper).length === 0) {
        renumber(session.directory);
        expect(undoApply(session.place), `after ${calls} calls`).toMatchObject({ done: true });
      }
      expect(diffSnapshots(treeOf(session.base), before), `after ${calls} calls`).toEqual([]);
      expect(diffSnapshots(treeOf(session.upper), changes), `after ${calls} calls`).toEqual([]);
      renumber(session.directory);
    }
  });

test("a file is no conflict since its device has another number than the record of the session says", async () => {
  const session = await plantSession({ edited: file("old"), gone: file("gone") }, {});
  const at = scratch();
  const recorder = new BaseRecorder(openRealDirectory(at, O.RDONLY));
  for (const name of ["edited", "gone"]) {
    const attr = new Attr();
    native.statx(AT.FDCWD, join(session.base, name), AT.SYMLINK_NOFOLLOW, attr.words);
    recorder.note(name, attr);
  }
  recorder.close();
  const entries = join(at, "entries");
  writeFileSync(entries, readFileSync(entries, "utf8").replace(/"identity":"/g, '"identity":"250:77 '));
  const records = openRealDirectory(at, O.RDONLY);
  plant(session.upper, { edited: file("new"), gone: whiteout() });
  const { list } = reviewLayers(session.stack(), { ...NOTHING_KNOWN, records: new BaseRecords([records]), begun: 0n });
  native.close(records);
  expect(list.map(({ path, conflict }) => [path, conflict])).toEqual([
    ["edited", undefined],
    ["gone", undefined],
  ]);
});

test("an undo changes nothing if somebody removed replaced files, which lie in the directory", async () => {
  const session = await plantSession(BASE, UPPER, { base: "disk", session: "tmpfs" });
  const before = treeOf(session.base);
  await reviewed(session).apply();
  const applied = treeOf(session.base);
  const slots = join(session.base, readdirSync(session.base).find((name) => name.startsWith(".sluice-apply-")) as string);
  const kept = readdirSync(slots).find((name) => /^\d+$/.test(name)) as string;
  for (const [from, to] of [
    [join(slots, kept), join(slots, "aside")],
    [slots, join(session.base, "aside")],
  ] as const) {
    renameSync(from, to);
    expect(() => undoApply(session.place)).toThrow(
      /: somebody removed the replaced files from .*: nothing was undone: take them from a backup/,
    );
    renameSync(to, from);
    expect(diffSnapshots(treeOf(session.base), applied)).toEqual([]);
  }
  expect(undoApply(session.place)).toMatchObject({ done: true });
  expect(diffSnapshots(treeOf(session.base), before)).toEqual([]);
});

const { test: withGit } = requires("CAP_SYS_ADMIN", "command git");

withGit("git neither shows nor cleans the replaced files, which lie in the directory", async () => {
  const session = await plantSession({ edited: file("old") }, { edited: file("new") }, { base: "disk", session: "tmpfs" });
  const git = (...words: string[]): string => execFileSync("git", words, { cwd: session.base, encoding: "utf8" });
  git("init", "-q");
  git("add", "edited");
  await reviewed(session).apply();
  expect(git("status", "--porcelain")).toBe("AM edited\n");
  git("clean", "-fdq");
  expect(undoApply(session.place)).toMatchObject({ done: true });
  expect([readFileSync(join(session.base, "edited"), "utf8"), readdirSync(session.base)]).toEqual(["old", [".git", "edited"]]);
});
