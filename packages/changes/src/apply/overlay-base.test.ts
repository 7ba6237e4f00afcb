// An overlay without redirect_dir, as the root of a container, moves no directory of its lower layers (EXDEV).
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { diffSnapshots, directory, file, requires, type Snapshot, snapshot, type Tree, whiteout } from "@sluice/testkit";
import { expect } from "vitest";
import { applyPlanted as apply, reviewed } from "../testing/apply-planted.js";
import { untilCall } from "../testing/dying-system.js";
import { type PlantedSession, plantSession, type Where } from "../testing/plant-session.js";
import { recoverApply } from "./recover.js";
import { undoApply } from "./undo.js";

const { test } = requires("CAP_SYS_ADMIN", "kernel overlayfs");
const IN_CONTAINER: Where = { base: "overlay", session: "tmpfs" };

const BASE: Tree = {
  "gone/": directory({ mode: 0o2750, uid: 12, gid: 13, xattrs: { "user.note": "of gone" } }),
  "gone/in": file("in"),
  "gone/sub/deep": file("deep"),
  "gone/empty/": directory(),
  "shut/": directory({ mode: 0o555 }),
  "shut/in": file("in"),
  "folder/in": file("in a folder"),
  "from/sub/x": file("x"),
};
const UPPER: Tree = {
  gone: whiteout(),
  shut: whiteout(),
  folder: file("a file now"),
  from: whiteout(),
  "to/": directory({ xattrs: { "trusted.overlay.redirect": "/from" } }),
};

/** Times of directories change with their entries. */
function treeOf(path: string): Snapshot {
  return new Map([...snapshot(path)].map(([name, entry]) => [name, entry.type === "directory" ? { ...entry, mtimeNs: 0n } : entry]));
}

const plant = (): Promise<PlantedSession> => plantSession(BASE, UPPER, IN_CONTAINER);

test("deletes, replaces and renames directories of a lower layer, and undoes it, twice", async () => {
  const session = await plant();
  const [before, changes] = [treeOf(session.base), treeOf(session.upper)];
  for (let times = 0; times < 2; times++) {
    const review = reviewed(session);
    expect(review.conflicts).toEqual([]);
    await review.apply();
    expect(readdirSync(session.base).filter((name) => !name.startsWith(".sluice-apply-"))).toEqual(["folder", "to"]);
    expect(statSync(join(session.base, "folder")).isFile()).toBe(true);
    expect(readdirSync(session.upper)).toEqual([]);
    expect(undoApply(session.place)).toMatchObject({ done: true, newer: [] });
    expect(diffSnapshots(treeOf(session.base), before)).toEqual([]);
    expect(diffSnapshots(treeOf(session.upper), changes)).toEqual([]);
  }
});

test("an apply that is killed at any call is undone or finished, and reversed", async () => {
  const session = await plant();
  const [before, changes] = [treeOf(session.base), treeOf(session.upper)];
  let ended = false;
  for (let calls = 0; !ended; calls++) {
    const review = reviewed(session);
    expect(review.conflicts, `before ${calls} calls`).toEqual([]);
    ended = await untilCall(calls, () => review.apply());
    recoverApply(session.place);
    if (readdirSync(session.upper).length === 0) expect(undoApply(session.place)).toMatchObject({ done: true });
    expect(diffSnapshots(treeOf(session.base), before), `after ${calls} calls`).toEqual([]);
    expect(diffSnapshots(treeOf(session.upper), changes), `after ${calls} calls`).toEqual([]);
  }
}, 120_000);

test("an undo that is killed at any call is finished by the next command", async () => {
  const session = await plant();
  const [before, changes] = [treeOf(session.base), treeOf(session.upper)];
  let ended = false;
  for (let calls = 0; !ended; calls += 2) {
    await apply(session);
    ended = await untilCall(calls, () => undoApply(session.place));
    for (let more = calls % 5; !ended && !(await untilCall(more, () => recoverApply(session.place))); more += 7);
    if (!ended && readdirSync(session.upper).length === 0) undoApply(session.place);
    expect(diffSnapshots(treeOf(session.base), before), `after ${calls} calls`).toEqual([]);
    expect(diffSnapshots(treeOf(session.upper), changes), `after ${calls} calls`).toEqual([]);
  }
}, 120_000);

test("a file that somebody put into a removed directory keeps it, and nothing is applied", async () => {
  const session = await plant();
  const review = reviewed(session);
  writeFileSync(join(session.base, "gone/sub/late"), "somebody else's");
  const before = treeOf(session.base);
  await expect(review.apply()).rejects.toThrow(/gone\/sub: it changed while/);
  expect(diffSnapshots(treeOf(session.base), before)).toEqual([]);
});
