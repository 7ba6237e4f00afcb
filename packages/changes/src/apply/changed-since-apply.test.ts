// Files that somebody changed, removed or put back after an apply: its undo loses none of them, and goes on with the rest.
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { file, requires, type Tree, whiteout } from "@sluice/testkit";
import { expect } from "vitest";
import { applyPlanted as apply } from "../testing/apply-planted.js";
import { plantSession, type PlantedSession, type Where } from "../testing/plant-session.js";
import { undoApply } from "./undo.js";

const { test } = requires("CAP_SYS_ADMIN");
const PLACES: readonly [string, Where][] = [
  ["one disk", { base: "tmpfs", session: "tmpfs" }],
  ["two disks", { base: "tmpfs", session: "disk" }],
];
const BEFORE: Tree = { edited: file("old"), gone: file("gone"), "dir/in": file("old"), rest: file("old") };
const AFTER: Tree = { edited: file("new"), gone: whiteout(), "dir/in": file("new"), rest: file("new"), "fresh/x": file("x") };

const read = (directory: string, name: string): string => readFileSync(join(directory, name), "utf8");

async function applied(where: Where): Promise<PlantedSession> {
  const session = await plantSession(BEFORE, AFTER, where);
  await apply(session);
  return session;
}

for (const [where, places] of PLACES) {
  test(`on ${where} an undo names removed files, and gives the directory what it had there`, async () => {
    const session = await applied(places);
    for (const path of ["edited", "fresh"]) rmSync(join(session.base, path), { recursive: true });
    const undone = undoApply(session.place);
    expect(undone).toMatchObject({ done: true, stuck: [] });
    expect(undone.done ? undone.removed.sort() : []).toEqual(["edited", "fresh", "fresh/x"]);
    expect(readdirSync(session.base, { recursive: true, encoding: "utf8" }).sort()).toEqual(["dir", "dir/in", "edited", "gone", "rest"]);
    expect(["edited", "gone", "dir/in", "rest"].map((name) => read(session.base, name))).toEqual(["old", "gone", "old", "old"]);
    expect(() => undoApply(session.place)).toThrow(/nothing of this session was applied, or it was undone/);
  });

  test(`on ${where} an undo that may skip changed files leaves them, with the former ones beside, and undoes the rest`, async () => {
    const session = await applied(places);
    writeFileSync(join(session.base, "edited"), "new, and edited");
    writeFileSync(join(session.base, "gone"), "put back");
    writeFileSync(join(session.base, "fresh/late"), "somebody's");
    renameSync(join(session.base, "dir"), join(session.base, "moved"));
    expect(undoApply(session.place)).toMatchObject({ done: false });
    const undone = undoApply(session.place, { skipChanged: true });
    const stuck = undone.done ? new Map(undone.stuck.map(({ path, former }) => [path, former])) : undefined;
    expect(stuck).toEqual(
      new Map([
        ["dir/in", "in.before-apply"],
        ["edited", "edited.before-apply"],
        ["fresh", undefined],
        ["gone", "gone.before-apply"],
      ]),
    );
    expect(["edited", "gone", "fresh/late", "moved/in", "rest"].map((name) => read(session.base, name))).toEqual([
      "new, and edited",
      "put back",
      "somebody's",
      "new",
      "old",
    ]);
    expect(["edited", "gone", "in"].map((name) => read(session.base, `${name}.before-apply`))).toEqual(["old", "gone", "old"]);
    expect(read(session.upper, "rest")).toBe("new");
    expect(existsSync(join(session.directory, "undo"))).toBe(false);
  });
}
