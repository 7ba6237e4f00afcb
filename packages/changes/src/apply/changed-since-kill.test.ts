// Changes of the directory after an apply or an undo was killed: the next command leaves them there.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { directory, file, requires, type Tree, whiteout } from "@sluice/testkit";
import { expect } from "vitest";
import { applyPlanted as apply, reviewed } from "../testing/apply-planted.js";
import { untilCall } from "../testing/dying-system.js";
import { plantSession, type PlantedSession, type Where } from "../testing/plant-session.js";
import { recoverApply } from "./recover.js";
import { undoApply } from "./undo.js";

const { test } = requires("CAP_SYS_ADMIN");
const PLACES: readonly [string, Where][] = [
  ["one disk", { base: "tmpfs", session: "tmpfs" }],
  ["two disks", { base: "tmpfs", session: "disk" }],
];
const CHANGED = /^one: it changed before an interrupted command was reversed: it stays, and the rest was undone/;

const read = (directory: string, name: string): string => readFileSync(join(directory, name), "utf8");

/** Kills an apply as soon as it has put the last file in its place. */
async function killApply(session: PlantedSession, last: string): Promise<void> {
  for (let calls = 0; !existsSync(join(session.base, last)) || read(session.base, last) !== "new"; calls++) {
    recoverApply(session.place);
    await untilCall(calls, () => apply(session));
  }
}

/** Nothing of the killed command is left: the session can be used, and discarded. */
function expectEnded(session: PlantedSession): void {
  expect(recoverApply(session.place)).toBeUndefined();
  expect(readdirSync(session.directory)).not.toContain("apply");
  expect(readdirSync(session.base).filter((name) => name.startsWith(".sluice-apply-"))).toEqual([]);
}

for (const [where, places] of PLACES) {
  test(`on ${where} a file that was replaced after a killed apply stays, with the one from before beside it`, async () => {
    const session = await plantSession({ one: file("old"), two: file("old") }, { one: file("new"), two: file("new") }, places);
    await killApply(session, "two");
    writeFileSync(join(session.base, "other"), "somebody else's");
    renameSync(join(session.base, "other"), join(session.base, "one"));
    expect(() => recoverApply(session.place)).toThrow(CHANGED);
    expect([read(session.base, "one"), read(session.base, "one.before-apply")]).toEqual(["somebody else's", "old"]);
    expect([read(session.base, "two"), read(session.upper, "two")]).toEqual(["old", "new"]);
    expectEnded(session);
  });

  test(`on ${where} a file that was edited after a killed apply stays, with the one from before beside it`, async () => {
    const session = await plantSession({ one: file("old"), two: file("old") }, { one: file("new"), two: file("new") }, places);
    await killApply(session, "two");
    writeFileSync(join(session.base, "one"), "new, and edited");
    writeFileSync(join(session.base, "one.before-apply"), "of somebody");
    expect(() => recoverApply(session.place)).toThrow(/compare it with the file from before the apply: one.before-apply-2$/);
    expect([read(session.base, "one"), read(session.base, "one.before-apply-2")]).toEqual(["new, and edited", "old"]);
    expect([read(session.base, "one.before-apply"), read(session.upper, "two")]).toEqual(["of somebody", "new"]);
    expectEnded(session);
  });

  test(`on ${where} a new file that was edited after a killed apply stays`, async () => {
    const session = await plantSession({ two: file("old") }, { one: file("new"), two: file("new") }, places);
    await killApply(session, "two");
    writeFileSync(join(session.base, "one"), "new, and edited");
    expect(() => recoverApply(session.place)).toThrow(CHANGED);
    expect(readdirSync(session.base).sort()).toEqual(["one", "two"]);
    expect([read(session.base, "one"), read(session.base, "two")]).toEqual(["new, and edited", "old"]);
    expectEnded(session);
  });

  test(`on ${where} files of a directory that somebody replaced after a killed apply are put beside it`, async () => {
    const before: Tree = { "a/dir/in": file("in"), "a/dir/sub/deep": file("deep"), "z/last": file("old") };
    const session = await plantSession(before, { "a/": directory(), "a/dir": whiteout(), "z/last": file("new") }, places);
    await killApply(session, "z/last");
    writeFileSync(join(session.base, "a/dir"), "somebody else's");
    expect(() => recoverApply(session.place)).toThrow(/^a\/dir, .*: it changed before/);
    const beside = join(session.base, "a/dir.before-apply");
    expect([read(session.base, "a/dir"), read(beside, "in"), read(beside, "sub/deep")]).toEqual(["somebody else's", "in", "deep"]);
    expectEnded(session);
  });

  test(`on ${where} a file whose directory is gone after a killed apply is put beside that`, async () => {
    const session = await plantSession(
      { "a/b/one": file("old"), "z/two": file("old") },
      { "a/b/one": file("new"), "z/two": file("new") },
      places,
    );
    await killApply(session, "z/two");
    rmSync(join(session.base, "a"), { recursive: true });
    mkdirSync(join(session.base, "a"));
    expect(() => recoverApply(session.place)).toThrow(/^a\/b\/one: it changed before/);
    expect(read(session.base, "a/one.before-apply")).toBe("old");
    expectEnded(session);
  });

  test(`on ${where} a file that was edited after a killed undo stays, with the one from before beside it`, async () => {
    const session = await plantSession({ one: file("old"), two: file("old") }, { one: file("new"), two: file("new") }, places);
    const states = (): string[] => ["one", "two"].map((name) => read(session.base, name));
    await apply(session);
    // It reverses the last step first.
    for (let calls = 0; states().join() !== "new,old"; calls++) {
      recoverApply(session.place);
      if (states().join() === "old,old") await apply(session);
      await untilCall(calls, () => undoApply(session.place));
    }
    writeFileSync(join(session.base, "one"), "new, and edited");
    expect(() => recoverApply(session.place)).toThrow(CHANGED);
    expect([read(session.base, "one"), read(session.base, "one.before-apply")]).toEqual(["new, and edited", "old"]);
    expect([read(session.base, "two"), read(session.upper, "two")]).toEqual(["old", "new"]);
    expectEnded(session);
    expect(reviewed(session).all.map(({ path }) => path)).toContain("two");
  });
}
