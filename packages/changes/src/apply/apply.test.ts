import { readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import {
  diffSnapshots,
  directory,
  fifo,
  file,
  hardLink,
  plant,
  requires,
  scratch,
  type Snapshot,
  snapshot,
  symlink,
  type Tree,
  whiteout,
} from "@sluice/testkit";
import { native } from "@sluice/native";
import { Errno } from "@sluice/vfs";
import { expect, vi } from "vitest";
import { reviewLayers } from "../review.js";
import { applyPlanted as apply, reviewed } from "../testing/apply-planted.js";
import { untilCall } from "../testing/dying-system.js";
import { plantSession, type Where } from "../testing/plant-session.js";
import { applyDifferences } from "./apply.js";
import { recoverApply } from "./recover.js";
import { undoApply } from "./undo.js";

const { test } = requires("CAP_SYS_ADMIN", "command setfacl", "command getfacl");
const OLD = { mtimeNs: 1_000_000_000n };
const IN_MEMORY: Where = { base: "tmpfs", session: "tmpfs" };
const MARKS = /^trusted\.overlay\./;

const BASE: Tree = {
  edited: file("old\n", OLD),
  gone: file("gone\n"),
  "dir/inner": file("inner\n"),
  "dir/sub/deep": file("deep\n"),
  "closed/": directory({ mode: 0o555 }),
  "closed/in": file("in a read-only directory"),
  mode: file("m\n", { ...OLD, mode: 0o644 }),
  link: symlink("old"),
  kind: file("a file"),
  "folder/in": file("in a folder"),
  "from/x": file("x"),
  "from/sub/y": file("y"),
  "kept/same": file("same"),
  "whole/a": file("a"),
  "pair/a": file("one file, two names"),
  "pair/b": hardLink("pair/a"),
  "late/a": file("the same"),
  "late/b": hardLink("late/a"),
  "stay/a": file("a name of it stays"),
  "stay/b": hardLink("stay/a"),
  "stay/gone": hardLink("stay/a"),
};
const UPPER: Tree = {
  edited: file("new\n", {
    ...{ mode: 0o640, uid: 12, gid: 13, mtimeNs: 5_000_000_123n },
    xattrs: { "user.note": "kept", "trusted.overlay.origin": "of edited" },
  }),
  gone: whiteout(),
  dir: whiteout(),
  closed: whiteout(),
  mode: file("m\n", { ...OLD, mode: 0o755 }),
  link: symlink("new", { xattrs: { "trusted.overlay.origin": "of link" } }),
  "kind/": directory({ mode: 0o700 }),
  "kind/of": file("folder"),
  folder: file("a file now"),
  from: whiteout(),
  "to/": directory({ xattrs: { "trusted.overlay.redirect": "/from" } }),
  "kept/same": file("same"),
  "kept/new": file("new"),
  "whole/": directory({ opaque: true }),
  "whole/b": file("b"),
  "two/names": file("one file"),
  "two/again": hardLink("two/names"),
  "pair/a": file("changed by both names"),
  "pair/b": hardLink("pair/a"),
  late: whiteout(),
  "stay/a": whiteout(),
  "stay/gone": whiteout(),
  "stay/b": file("a name of it stays"),
  "stay/new": hardLink("stay/b"),
  pipe: fifo({ mode: 0o620 }),
  "sealed/": directory({ mode: 0o555, mtimeNs: 7_000_000_000n }),
  "sealed/in": file("sealed"),
};

/** Times of directories change with their entries. */
function contentOf(path: string): Snapshot {
  const all = snapshot(path, { hardLinks: true, ignoreXattrs: MARKS });
  return new Map([...all].map(([name, entry]) => [name, entry.type === "directory" ? { ...entry, mtimeNs: 0n } : entry]));
}

/** The whole upper layer, marks and times too, but the times of its root, which entries leave as a whole. */
function wholeOf(path: string): Snapshot {
  return new Map([...snapshot(path, { hardLinks: true })].filter(([name]) => name !== ""));
}

test("applies everything, with owners, modes, times, attributes and hard links, and undoes it", async () => {
  const session = await plantSession(BASE, UPPER);
  const [before, changes] = [contentOf(session.base), contentOf(session.upper)];
  const stays = statSync(join(session.base, "stay/b")).ino;
  await apply(session);
  expect(session.review()).toEqual([]);
  expect(readdirSync(session.upper)).toEqual([]);
  const now = snapshot(session.base, { hardLinks: true });
  expect(now.get("edited")).toMatchObject({
    mode: "640",
    owner: "12:13",
    mtimeNs: 5_000_000_123n,
    xattrs: { "user.note": expect.anything() },
  });
  expect(statSync(join(session.base, "two/names")).ino).toBe(statSync(join(session.base, "two/again")).ino);
  expect(statSync(join(session.base, "stay/new")).ino).toBe(stays);
  expect(now.get("sealed")).toMatchObject({ mode: "555", mtimeNs: 7_000_000_000n });
  expect(undoApply(session.place)).toMatchObject({ done: true, newer: [] });
  expect(diffSnapshots(contentOf(session.base), before)).toEqual([]);
  expect(diffSnapshots(contentOf(session.upper), changes)).toEqual([]);
  expect(reviewed(session).conflicts).toEqual([]);
  expect(() => undoApply(session.place)).toThrow(/nothing of this session was applied/);
});

test("files leave the session as they are, without its marks, and return with them", async () => {
  const origin = { "trusted.overlay.origin": "somewhere" };
  const session = await plantSession(
    { "dir/f": file("old"), "dir/part": file("old") },
    {
      "dir/": directory({ mtimeNs: 3_000_000_000n }),
      "dir/f": file("new", { xattrs: { ...origin, "user.note": "kept" } }),
      "dir/part": file("new", { xattrs: { ...origin, "trusted.overlay.metacopy": "" } }),
    },
  );
  const changes = wholeOf(session.upper);
  const inodeOf = (path: string): number => statSync(path).ino;
  const [whole, part] = ["f", "part"].map((name) => inodeOf(join(session.upper, "dir", name)));
  await apply(session);
  expect(inodeOf(join(session.base, "dir/f"))).toBe(whole);
  expect(inodeOf(join(session.base, "dir/part"))).not.toBe(part);
  expect(snapshot(session.base).get("dir/f")?.xattrs).toEqual({ "user.note": expect.anything() });
  expect(undoApply(session.place)).toMatchObject({ done: true, newer: [] });
  expect(inodeOf(join(session.upper, "dir/f"))).toBe(whole);
  expect(diffSnapshots(wholeOf(session.upper), changes)).toEqual([]);
});

test("applies access lists, and takes none over from the directory", async () => {
  const session = await plantSession(
    { listed: file("l"), "dir/inner": file("i") },
    { listed: file("new"), "dir/inner": file("new"), "dir/fresh": file("f") },
    { base: "tmpfs", session: "disk" },
  );
  const getfacl = (path: string): string => execFileSync("getfacl", ["-cn", join(session.base, path)], { encoding: "utf8" });
  execFileSync("setfacl", ["-m", "u:12:r", join(session.upper, "listed")]);
  for (const directory of ["", "dir"]) execFileSync("setfacl", ["-d", "-m", "u:13:rwx", join(session.base, directory)]);
  await apply(session);
  expect(getfacl("listed")).toContain("user:12:r--");
  for (const path of ["listed", "dir/inner", "dir/fresh"]) expect(getfacl(path)).not.toContain("user:13");
});

test("an apply that is killed at any call is undone or finished by the next command", async () => {
  const session = await plantSession(BASE, UPPER, IN_MEMORY);
  const before = contentOf(session.base);
  const changes = wholeOf(session.upper);
  const outcomes = new Set<string>();
  let ended = false;
  for (let calls = 0; !ended; calls++) {
    const review = reviewed(session);
    expect(review.conflicts, `before ${calls} calls`).toEqual([]);
    ended = await untilCall(calls, () => review.apply());
    const outcome = recoverApply(session.place);
    outcomes.add(outcome ?? "nothing");
    if (readdirSync(session.upper).length === 0) {
      expect(session.review(), `after ${calls} calls`).toEqual([]);
      expect(undoApply(session.place)).toMatchObject({ done: true });
    }
    expect(diffSnapshots(contentOf(session.base), before), `after ${calls} calls`).toEqual([]);
    expect(diffSnapshots(wholeOf(session.upper), changes), `after ${calls} calls`).toEqual([]);
  }
  expect(reviewed(session).conflicts).toEqual([]);
  expect([...outcomes].sort()).toEqual(["apply finished", "apply undone", "nothing"]);
}, 120_000);

test("an undo or a recovery that is killed at any call is finished by the next command", async () => {
  const session = await plantSession(BASE, UPPER, IN_MEMORY);
  const before = contentOf(session.base);
  const changes = wholeOf(session.upper);
  let ended = false;
  for (let calls = 0; !ended; calls += 3) {
    await apply(session);
    ended = await untilCall(calls, () => undoApply(session.place));
    for (let more = calls % 7; !ended && !(await untilCall(more, () => recoverApply(session.place))); more += 11);
    if (!ended && readdirSync(session.upper).length === 0) undoApply(session.place);
    expect(diffSnapshots(contentOf(session.base), before), `after ${calls} calls`).toEqual([]);
    expect(diffSnapshots(wholeOf(session.upper), changes), `after ${calls} calls`).toEqual([]);
  }
}, 120_000);

test("a file that got another name for a moment is no conflict after a killed apply", async () => {
  const session = await plantSession({ a: file("a", { mtimeNs: 1n }) }, { a: file("a", { mode: 0o755, mtimeNs: 1n }), b: hardLink("a") });
  for (let calls = 0; ; calls++) {
    const ended = await untilCall(calls, () => apply(session));
    recoverApply(session.place);
    if (ended) break;
    if (session.review().length === 0) undoApply(session.place);
    expect(reviewed(session).conflicts, `after ${calls} calls`).toEqual([]);
  }
  undoApply(session.place);
  expect(reviewed(session).conflicts).toEqual([]);
});

test("a file of which another name was applied is no conflict, nor after the undo", async () => {
  const session = await plantSession(
    { a: file("old"), b: hardLink("a") },
    { a: file("1", { xattrs: { "trusted.overlay.origin": "somewhere" } }), b: file("2") },
  );
  await apply(session, ["a"]);
  expect(reviewed(session).conflicts).toEqual([]);
  undoApply(session.place);
  expect(reviewed(session).conflicts).toEqual([]);
});

test("applies a part, and leaves the rest in the session", async () => {
  const session = await plantSession(BASE, UPPER);
  await apply(session, ["edited", "kind", "gone", "dir/sub"]);
  expect(readFileSync(join(session.base, "edited"), "utf8")).toBe("new\n");
  expect(statSync(join(session.base, "dir/inner")).isFile()).toBe(true);
  expect(readdirSync(session.upper)).not.toContain("edited");
  const left = session.review().map(({ path }) => path);
  expect(left).toContain("dir/inner");
  expect(left).not.toContain("kind");
});

test("refuses a part that the rest needs", async () => {
  const session = await plantSession(BASE, UPPER);
  await expect(apply(session, ["to"])).rejects.toThrow(/renamed from from, and can only be applied as a whole/);
  await expect(apply(session, ["from"])).rejects.toThrow(/renamed from from, and can only be applied as a whole/);
  await expect(apply(session, ["!folder/in"])).rejects.toThrow(/folder: it cannot be applied without folder\/in/);
});

test("a file that changes between review and apply is kept, and nothing is applied", async () => {
  const session = await plantSession(BASE, UPPER);
  const stack = session.stack();
  const all = reviewLayers(stack);
  writeFileSync(join(session.base, "whole/a"), "somebody else's");
  const before = contentOf(session.base);
  await expect(applyDifferences(session.place, stack, { chosen: all.list, rest: [] })).rejects.toThrow(/whole\/a: it changed while/);
  expect(diffSnapshots(contentOf(session.base), before)).toEqual([]);
  expect(readdirSync(session.directory)).not.toContain("apply");
});

test("a file put into a removed directory between review and apply keeps the directory", async () => {
  const session = await plantSession(BASE, UPPER);
  const stack = session.stack();
  const all = reviewLayers(stack);
  writeFileSync(join(session.base, "dir/sub/late"), "somebody else's");
  const before = contentOf(session.base);
  await expect(applyDifferences(session.place, stack, { chosen: all.list, rest: [] })).rejects.toThrow(/dir\/sub: it changed while/);
  expect(diffSnapshots(contentOf(session.base), before)).toEqual([]);
});

test("follows no symbolic link that is planted in the base between review and apply", async () => {
  const session = await plantSession(
    { "dir/x": file("x"), "dir/sub/y": file("y"), other: file("o") },
    { "dir/x": file("new"), "dir/sub/fresh": file("new"), other: file("o", { mode: 0o777 }) },
  );
  const outside = scratch();
  plant(outside, { x: file("outside", { mode: 0o600 }), "sub/": directory() });
  const stack = session.stack();
  const all = reviewLayers(stack);
  renameSync(join(session.base, "dir"), join(session.base, "aside"));
  symlinkSync(outside, join(session.base, "dir"));
  rmSync(join(session.base, "other"));
  symlinkSync(join(outside, "x"), join(session.base, "other"));
  for (const path of ["dir/x", "dir/sub/fresh", "other"]) {
    const chosen = all.list.filter((one) => one.path === path);
    await expect(applyDifferences(session.place, stack, { chosen, rest: [] })).rejects.toThrow(/it changed while/);
  }
  expect(readdirSync(join(outside, "sub"))).toEqual([]);
  expect(readFileSync(join(outside, "x"), "utf8")).toBe("outside");
  expect(statSync(join(outside, "x")).mode & 0o777).toBe(0o600);
});

test("refuses to undo if an applied file changed since, and changes nothing", async () => {
  const session = await plantSession(BASE, UPPER);
  await apply(session);
  writeFileSync(join(session.base, "edited"), "edited again");
  writeFileSync(join(session.base, "kind/late"), "in a new directory");
  writeFileSync(join(session.base, "gone"), "here again");
  const before = contentOf(session.base);
  const undone = undoApply(session.place);
  expect(undone.done ? undone : undone.changed.sort()).toEqual(["edited", "gone", "kind/late"]);
  expect(diffSnapshots(contentOf(session.base), before)).toEqual([]);
});

test("the session keeps a newer change when an apply is undone", async () => {
  const session = await plantSession({ f: file("old") }, { f: file("new") });
  await apply(session);
  writeFileSync(join(session.upper, "f"), "newer");
  expect(undoApply(session.place)).toMatchObject({ done: true, newer: ["f"] });
  expect(readFileSync(join(session.base, "f"), "utf8")).toBe("old");
  expect(readFileSync(join(session.upper, "f"), "utf8")).toBe("newer");
});

test("the session keeps a newer file when an apply that added one is undone", async () => {
  const session = await plantSession({}, { f: file("new") });
  await apply(session);
  writeFileSync(join(session.upper, "f"), "newer");
  expect(undoApply(session.place)).toMatchObject({ done: true, newer: ["f"] });
  expect(readdirSync(session.base)).toEqual([]);
  expect(readFileSync(join(session.upper, "f"), "utf8")).toBe("newer");
});

test("copies files that turn out not to be movable, with the marks still in the session after an undo", async () => {
  const marked = (content: string) => file(content, { xattrs: { "trusted.overlay.origin": "somewhere" } });
  const session = await plantSession(
    { one: file("old"), two: file("old"), three: file("old") },
    { one: marked("new"), two: marked("new"), three: marked("new") },
  );
  const [before, changes] = [contentOf(session.base), wholeOf(session.upper)];
  const inodes = ["one", "three", "two"].map((name) => statSync(join(session.upper, name)).ino);
  const { renameat2 } = native;
  vi.spyOn(native, "renameat2").mockImplementation((...call) =>
    call[1] === "three" && call[3] === "three" ? -Errno.EXDEV : renameat2(...call),
  );
  await apply(session);
  vi.restoreAllMocks();
  const now = ["one", "three", "two"].map((name) => statSync(join(session.base, name)).ino);
  expect(now.map((ino, at) => ino === inodes[at])).toEqual([true, false, false]);
  expect([...snapshot(session.base).values()].map(({ xattrs }) => xattrs)).toEqual([{}, {}, {}, {}]);
  expect(undoApply(session.place)).toMatchObject({ done: true, newer: [] });
  expect(diffSnapshots(contentOf(session.base), before)).toEqual([]);
  expect(diffSnapshots(wholeOf(session.upper), changes)).toEqual([]);
});

test("undoes an apply of the version whose record of the end has all steps", async () => {
  const session = await plantSession(BASE, UPPER, { base: "tmpfs", session: "disk" });
  const before = contentOf(session.base);
  await apply(session);
  const [begun, done] = ["begun.json", "done.json"].map((name) => join(session.directory, "undo", name)) as [string, string];
  const [steps, end] = [begun, done].map((path) => JSON.parse(readFileSync(path, "utf8")) as object);
  writeFileSync(done, JSON.stringify({ ...steps, ...end, version: 1 }));
  rmSync(begun);
  expect(undoApply(session.place)).toMatchObject({ done: true, newer: [] });
  expect(diffSnapshots(contentOf(session.base), before)).toEqual([]);
});

test("an overwritten conflict is one again after the apply is undone", async () => {
  const session = await plantSession({ f: file("old") }, { f: file("new") });
  writeFileSync(join(session.base, "f"), "somebody else's");
  await apply(session);
  expect(readFileSync(join(session.base, "f"), "utf8")).toBe("new");
  undoApply(session.place);
  expect(readFileSync(join(session.base, "f"), "utf8")).toBe("somebody else's");
  expect(reviewed(session).conflicts).toEqual(["f"]);
});

test("applies more than a thousand files, and undoes them", async () => {
  const many = (content: string): Tree => Object.fromEntries(Array.from({ length: 600 }, (_, at) => [`d${at % 50}/f${at}`, file(content)]));
  const added = Object.fromEntries(Object.entries(many("added")).map(([path, one]) => [`new/${path}`, one]));
  const session = await plantSession(many("old"), { ...many("new"), ...added }, IN_MEMORY);
  await apply(session);
  expect(session.review()).toEqual([]);
  const contents = (): string[] => [...contentOf(session.base).keys()].filter((path) => path.includes("/f"));
  expect(contents()).toHaveLength(1200);
  expect(readFileSync(join(session.base, "d7/f7"), "utf8")).toBe("new");
  expect(undoApply(session.place)).toMatchObject({ done: true, newer: [] });
  expect(readFileSync(join(session.base, "d7/f7"), "utf8")).toBe("old");
  expect(readdirSync(session.base)).not.toContain("new");
}, 60_000);

test("keeps its slots in the base if the session lies on another file system", async () => {
  const session = await plantSession(BASE, UPPER, { base: "tmpfs", session: "disk" });
  const before = contentOf(session.base);
  const hidden = (): string[] => readdirSync(session.base).filter((name) => name.startsWith(".sluice-apply-"));
  await apply(session, ["edited"]);
  expect(readFileSync(join(session.base, "edited"), "utf8")).toBe("new\n");
  expect(hidden()).toHaveLength(1);
  await apply(session);
  expect(hidden()).toHaveLength(1);
  expect(session.review()).toEqual([]);
  expect(undoApply(session.place)).toMatchObject({ done: true });
  expect(hidden()).toEqual([]);
  const differences = diffSnapshots(contentOf(session.base), before);
  expect(differences.filter((line) => !line.startsWith("edited:"))).toEqual([]);
});
