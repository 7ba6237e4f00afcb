import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { diffSnapshots, directory, file, requires, snapshot } from "@sluice/testkit";
import { expect } from "vitest";
import { undoApply } from "./apply/undo.js";
import { applyPlanted as apply } from "./testing/apply-planted.js";
import { plantSession } from "./testing/plant-session.js";

const { test } = requires("CAP_SYS_ADMIN", "command getfattr");
const OLD = { mtimeNs: 1_000_000_000n };

test("attributes whose names look like marks get the names that callers gave them, and an undo takes them away", async () => {
  const [mark, escaped] = ["trusted.overlay.note", "trusted.overlay.overlay.note"];
  const session = await plantSession(
    {
      "d/": directory({ xattrs: { [escaped]: "of the directory" } }),
      f: file("f", OLD),
      kept: file("k", { ...OLD, xattrs: { [mark]: "k" } }),
      gone: file("g", { ...OLD, xattrs: { [escaped]: "g" } }),
    },
    {
      "d/": directory({ xattrs: { [escaped]: "of the session" } }),
      f: file("f", { ...OLD, xattrs: { [escaped]: "one", "trusted.overlay.origin": "of f" } }),
      new: file("new", { xattrs: { [escaped]: "two" } }),
      "folder/": directory({ xattrs: { [escaped]: "three" } }),
      kept: file("k", OLD),
      gone: file("g", OLD),
    },
  );
  const before = snapshot(session.base);
  const valueOf = (path: string, name: string): string =>
    execFileSync("getfattr", ["--only-values", "-n", name, join(session.base, path)], { encoding: "utf8" });
  expect(session.review().map(({ path }) => path)).toEqual(["d", "f", "folder", "gone", "new"]);
  await apply(session);
  expect([valueOf("d", escaped), ...["f", "new", "folder", "kept"].map((path) => valueOf(path, mark))]).toEqual([
    "of the session",
    "one",
    "two",
    "three",
    "k",
  ]);
  expect(Object.keys(snapshot(session.base).get("gone")?.xattrs ?? {})).toEqual([]);
  expect(Object.keys(snapshot(session.base).get("f")?.xattrs ?? {})).toEqual([mark]);
  undoApply(session.place);
  expect(diffSnapshots(snapshot(session.base), before).filter((line) => !line.includes("mtimeNs"))).toEqual([]);
});

test("attributes that the session hides stay those of a file that it changed, and not of another one in its place", async () => {
  const mark = "trusted.overlay.note";
  const [named, copied] = [{ xattrs: { [mark]: "base's" } }, { xattrs: { "trusted.overlay.origin": "of it" } }];
  const session = await plantSession(
    { changed: file("old", named), other: file("old", named) },
    { changed: file("new", copied), other: file("new") },
  );
  const before = snapshot(session.base);
  await apply(session);
  const now = snapshot(session.base);
  expect(now.get("changed")).toMatchObject({ xattrs: before.get("changed")?.xattrs });
  expect(now.get("other")?.xattrs ?? {}).toEqual({});
  undoApply(session.place);
  expect(diffSnapshots(snapshot(session.base), before).filter((line) => !line.includes("mtimeNs"))).toEqual([]);
});

test("a directory that stays in the session has no difference once its attributes were applied", async () => {
  const session = await plantSession(
    { "d/f": file("old") },
    { "d/": directory({ xattrs: { "trusted.overlay.overlay.note": "d" } }), "d/f": file("new") },
  );
  await apply(session, ["!f"]);
  expect(session.review().map(({ path }) => path)).toEqual(["d/f"]);
});
