// A disk may have another device number after a start of the machine: btrfs, an external disk, a container. Records on disk hold earlier numbers.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BaseRecorder, BaseRecords } from "@sluice/base-record";
import { diffSnapshots, file, plant, requires, scratch, type Snapshot, snapshot, whiteout } from "@sluice/testkit";
import { native, openRealDirectory } from "@sluice/native";
import { AT, Attr, O } from "@sluice/vfs";
import { expect } from "vitest";
import { NOTHING_KNOWN } from "../conflicts.js";
import { reviewLayers } from "../review.js";
import { reviewed } from "../testing/apply-planted.js";
import { untilCall } from "../testing/dying-system.js";
import { CHANGED_BASE, CHANGES, plantSession } from "../testing/plant-session.js";
import { recoverApply } from "./recover.js";
import { undoApply } from "./undo.js";

const { test } = requires("CAP_SYS_ADMIN");

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
    const session = await plantSession(CHANGED_BASE, CHANGES, where);
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
