import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { directory, file, hardLink, requires, type Tree, whiteout } from "@sluice/testkit";
import { expect } from "vitest";
import { undoApply } from "./apply/undo.js";
import { applyPlanted as apply, reviewed } from "./testing/apply-planted.js";
import { plantSession } from "./testing/plant-session.js";

const { test } = requires("CAP_SYS_ADMIN");

test("names that stay in the session are no conflicts after applies of other names, nor after an undo", async () => {
  const pair: Tree = { a: file("new"), b: hardLink("a"), c: hardLink("a"), other: file("new") };
  const session = await plantSession({ a: file("old"), b: hardLink("a"), c: hardLink("a"), other: file("old") }, pair);
  for (const path of ["a", "other", "b"]) {
    await apply(session, [path]);
    expect(reviewed(session).conflicts, `after the apply of ${path}`).toEqual([]);
  }
  undoApply(session.place);
  expect(reviewed(session).conflicts).toEqual([]);
  await apply(session, ["b"]);
  writeFileSync(join(session.base, "c"), "somebody else's");
  expect(undoApply(session.place)).toMatchObject({ done: true });
  expect(reviewed(session).conflicts).toEqual(["b", "c"]);
});

test("undoes an apply of a further name after an apply that removed another name of the file", async () => {
  const session = await plantSession(
    { a: file("one file"), b: hardLink("a"), c: hardLink("a") },
    { a: whiteout(), b: file("one file"), new: hardLink("b") },
  );
  const { ino } = statSync(join(session.base, "b"));
  await apply(session, ["a"]);
  await apply(session, ["new"]);
  expect(statSync(join(session.base, "new")).ino).toBe(ino);
  expect(undoApply(session.place)).toMatchObject({ done: true });
  expect(readdirSync(session.base)).toEqual(["b", "c"]);
});

test("files of a directory that was renamed as a whole stay one file with their names elsewhere, also after an undo", async () => {
  const session = await plantSession(
    { "from/one": file("one"), "from/two": file("two"), "from/three": hardLink("from/two"), out: hardLink("from/one") },
    { from: whiteout(), "to/": directory({ xattrs: { "trusted.overlay.redirect": "/from" } }) },
  );
  const inodes = (paths: string[]): number[] => paths.map((path) => statSync(join(session.base, path)).ino);
  const before = inodes(["out", "out", "from/two", "from/two"]);
  await apply(session);
  expect(inodes(["out", "to/one", "to/two", "to/three"])).toEqual(before);
  expect(undoApply(session.place)).toMatchObject({ done: true, newer: [] });
  expect(reviewed(session).conflicts).toEqual([]);
  expect(inodes(["out", "from/one", "from/two", "from/three"])).toEqual(before);
  expect(statSync(join(session.base, "out")).nlink).toBe(2);
});
