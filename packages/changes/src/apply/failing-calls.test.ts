// System calls of an apply or an undo that fail, as on a full or broken disk, and people who change the directory meanwhile.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  cleanUp,
  directory,
  diffSnapshots,
  file,
  hardLink,
  requires,
  type Snapshot,
  snapshot,
  symlink,
  type Tree,
  whiteout,
} from "@sluice/testkit";
import { CliError } from "@sluice/runtime/cli";
import { native } from "@sluice/native";
import { AT, Attr, Errno, S } from "@sluice/vfs";
import { expect } from "vitest";
import { applyPlanted as apply, reviewed } from "../testing/apply-planted.js";
import { CHANGING, type Failure, untilCall, withFailure } from "../testing/dying-system.js";
import { plantSession, type Where } from "../testing/plant-session.js";
import { recoverApply } from "./recover.js";
import { undoApply } from "./undo.js";

const { test } = requires("CAP_SYS_ADMIN", "command chattr", "command setfattr");
const IN_MEMORY: Where = { base: "tmpfs", session: "tmpfs" };
const APART: Where = { base: "disk", session: "tmpfs" };
const NEED_ROOM = ["mkdirat", "linkat", "symlinkat", "mknodat", "openat", "openat2", "write", "fsync", "pwriteAsync", "setxattrat"];
const origin = { "trusted.overlay.origin": "somewhere" };

const BASE: Tree = {
  edited: file("old"),
  gone: file("gone"),
  "dir/inner": file("inner"),
  "pair/a": file("two names"),
  "pair/b": hardLink("pair/a"),
  kind: file("a file"),
  "folder/in": file("in a folder"),
  mode: file("m", { mode: 0o644 }),
  "shut/": directory({ mode: 0o555 }),
  "shut/in": file("in"),
};
const UPPER: Tree = {
  edited: file("new", { xattrs: origin }),
  gone: whiteout(),
  dir: whiteout(),
  shut: whiteout(),
  "pair/a": file("changed"),
  "pair/b": hardLink("pair/a"),
  "kind/": directory({ mode: 0o700 }),
  "kind/of": file("folder"),
  folder: symlink("elsewhere"),
  mode: file("m", { mode: 0o755 }),
  "new/": directory({ mode: 0o555 }),
  "new/in": file("in"),
};

function treeOf(path: string): Snapshot {
  const all = snapshot(path, { hardLinks: true });
  return new Map([...all].map(([name, entry]) => [name, entry.type === "directory" ? { ...entry, mtimeNs: 0n } : entry]));
}

const FAILURES: readonly [string, Failure][] = [
  ["one call fails by EIO", { errno: Errno.EIO, names: CHANGING, untilRemoval: false }],
  ["there is no room from one call to the next removal", { errno: Errno.ENOSPC, names: NEED_ROOM, untilRemoval: true }],
];

for (const [what, failure] of FAILURES)
  for (const [where, places] of [
    ["one disk", IN_MEMORY],
    ["two disks", APART],
  ] as const)
    test(`on ${where} an apply is done or not at all if ${what}, and can be repeated at once`, async () => {
      const session = await plantSession(BASE, UPPER, places);
      const [base, upper] = [treeOf(session.base), treeOf(session.upper)];
      for (let call = 0; ; call++) {
        const review = reviewed(session);
        expect(review.conflicts, `before call ${call}`).toEqual([]);
        const { failed, error } = await withFailure(call, failure, () => review.apply());
        if (!failed) break;
        if (error !== undefined) expect(error, `call ${call}`).toBeInstanceOf(CliError);
        const ended = recoverApply(session.place);
        // At the end it may be done although the last sync failed.
        if (error === undefined || ended === "apply finished" || readdirSync(session.upper).length === 0) {
          expect(session.review(), `call ${call}`).toEqual([]);
          expect(undoApply(session.place)).toMatchObject({ done: true, newer: [] });
        }
        expect(diffSnapshots(treeOf(session.base), base), `base after call ${call}`).toEqual([]);
        expect(diffSnapshots(treeOf(session.upper), upper), `session after call ${call}`).toEqual([]);
      }
      expect(session.review()).toEqual([]);
    }, 120_000);

for (const [what, failure] of FAILURES)
  test(`an undo is finished by the next command if ${what}`, async () => {
    const session = await plantSession(BASE, UPPER, IN_MEMORY);
    const [base, upper] = [treeOf(session.base), treeOf(session.upper)];
    for (let call = 0, failed = true; failed; call++) {
      await apply(session);
      let error: unknown;
      ({ failed, error } = await withFailure(call, failure, () => undoApply(session.place)));
      if (error !== undefined) expect(error, `call ${call}`).toBeInstanceOf(CliError);
      // Before the first step, or after the last one: then the removal of the remains failed.
      if (recoverApply(session.place) === undefined && existsSync(join(session.directory, "undo")))
        expect(undoApply(session.place)).toMatchObject({ done: true });
      expect(diffSnapshots(treeOf(session.base), base), `base after call ${call}`).toEqual([]);
      expect(diffSnapshots(treeOf(session.upper), upper), `session after call ${call}`).toEqual([]);
    }
  }, 120_000);

test("a file that somebody puts into a new directory is not lost if the apply was interrupted", async () => {
  const session = await plantSession({}, { "new/": directory(), "new/in": file("in") }, IN_MEMORY);
  const made = join(session.base, "new");
  for (let calls = 0; !existsSync(join(made, "in")); calls++) {
    recoverApply(session.place);
    await untilCall(calls, () => apply(session));
  }
  writeFileSync(join(made, "theirs"), "theirs");
  expect(() => recoverApply(session.place)).toThrow(/^new: it changed before an interrupted command was reversed/);
  expect(readFileSync(join(made, "theirs"), "utf8")).toBe("theirs");
  expect([existsSync(join(made, "in")), existsSync(join(session.upper, "new/in"))]).toEqual([false, true]);
  expect(recoverApply(session.place)).toBeUndefined();
});

test("a file that somebody edits or protects after a killed apply stays so", async () => {
  const session = await plantSession(
    { f: file("old"), m: file("m", { mode: 0o644 }) },
    { f: file("new"), m: file("m", { mode: 0o755 }) },
    APART,
  );
  const path = join(session.base, "f");
  for (let calls = 0; readFileSync(path, "utf8") !== "new"; calls++) {
    recoverApply(session.place);
    await untilCall(calls, () => apply(session));
  }
  writeFileSync(path, "edited");
  chmodSync(join(session.base, "m"), 0o600);
  expect(() => recoverApply(session.place)).toThrow(/^f: it changed before an interrupted command was reversed/);
  expect([readFileSync(path, "utf8"), readFileSync(`${path}.before-apply`, "utf8")]).toEqual(["edited", "old"]);
  expect(statSync(join(session.base, "m")).mode & 0o777).toBe(0o600);
});

test("attributes and the time of a file that somebody writes after a killed apply stay so", async () => {
  const attributes = (one: string): Record<string, string> => ({ "user.edited": one, "user.left": one, "user.gone": one });
  const before: Tree = { a: file("a", { mode: 0o644, xattrs: attributes("old") }), last: file("l", { mode: 0o644 }) };
  const session = await plantSession(
    before,
    { a: file("a", { mode: 0o755, xattrs: attributes("new") }), last: file("l", { mode: 0o755 }) },
    APART,
  );
  const path = join(session.base, "a");
  for (let calls = 0; (statSync(join(session.base, "last")).mode & 0o777) !== 0o755; calls++) {
    recoverApply(session.place);
    await untilCall(calls, () => apply(session));
  }
  const edit = "echo b > a; setfattr -n user.edited -v mine a; setfattr -x user.gone a; setfattr -n user.more -v mine a";
  execFileSync("sh", ["-c", edit], { cwd: session.base });
  const written = statSync(path, { bigint: true }).mtimeNs;
  expect(recoverApply(session.place)).toBe("apply undone");
  const hex = (text: string): string => Buffer.from(text).toString("hex");
  expect(snapshot(session.base).get("a")?.xattrs).toEqual({
    ...{ "user.edited": hex("mine"), "user.left": hex("old"), "user.more": hex("mine") },
  });
  expect(statSync(path, { bigint: true }).mtimeNs).toBe(written);
  expect(statSync(path).mode & 0o777).toBe(0o644);
});

test("an apply changes nothing if something is immutable or append-only, and a recovery names a directory that became so", async () => {
  const session = await plantSession(
    { "log/": directory(), "log/a": file("a"), z: file("old") },
    { "log/": directory(), "log/new": file("n"), z: file("new"), "log/a": whiteout() },
    IN_MEMORY,
  );
  const chattr = (flags: string, path: string): unknown => execFileSync("chattr", [flags, join(session.base, path)]);
  const before = treeOf(session.base);
  for (const [flag, path] of [
    ["a", "log"],
    ["i", "log"],
    ["i", "z"],
    ["a", "log/a"],
  ] as const) {
    chattr(`+${flag}`, path);
    const escaped = new RegExp(`^${path}: it is immutable or append-only \\(EPERM\\): nothing was applied`);
    await expect(apply(session), `${flag} ${path}`).rejects.toThrow(escaped);
    chattr(`-${flag}`, path);
    expect(diffSnapshots(treeOf(session.base), before), path).toEqual([]);
  }
  chattr("+a", "../session/upper/z");
  await expect(apply(session)).rejects.toThrow(/session\/upper\/z: it is immutable or append-only \(EPERM\): nothing was applied/);
  chattr("-a", "../session/upper/z");
  for (let calls = 0; !existsSync(join(session.base, "log/new")); calls++) {
    recoverApply(session.place);
    await untilCall(calls, () => apply(session));
  }
  chattr("+a", "log");
  expect(() => recoverApply(session.place)).toThrow(/^log\/new: it cannot be restored \(EPERM\): let its directory be written/);
  chattr("-a", "log");
  expect(recoverApply(session.place)).toBe("apply undone");
  expect(diffSnapshots(treeOf(session.base), before)).toEqual([]);
});

test("an undo names a new directory that somebody replaced by a file or a link", async () => {
  const session = await plantSession({}, { "new/": directory(), "new/in": file("in") }, IN_MEMORY);
  await apply(session);
  rmSync(join(session.base, "new"), { recursive: true });
  for (const replace of [() => writeFileSync(join(session.base, "new"), ""), () => symlinkSync("/", join(session.base, "new"))]) {
    replace();
    expect(undoApply(session.place)).toMatchObject({ done: false, changed: expect.arrayContaining(["new", "new/in"]) as unknown });
    rmSync(join(session.base, "new"));
  }
});

test("an apply is refused if somebody changed a mode or an attribute since the review, which stays", async () => {
  const base: Tree = { a: file("a"), b: file("b"), "d/": directory({ mode: 0o755 }) };
  const modes: Tree = { a: file("a", { mode: 0o755 }), b: file("b", { mode: 0o755 }), "d/": directory({ mode: 0o700 }) };
  for (const change of ["chmod 600 b", "chmod 711 d", "setfattr -n user.theirs -v x b"]) {
    const session = await plantSession(base, modes);
    const review = reviewed(session);
    execFileSync("sh", ["-c", change], { cwd: session.base });
    const theirs = treeOf(session.base);
    await expect(review.apply(), change).rejects.toThrow(/it changed while the changes were applied/);
    expect(diffSnapshots(treeOf(session.base), theirs), change).toEqual([]);
    await reviewed(session).apply();
    expect(reviewed(session).all, change).toEqual([]);
  }
});

/** As the kernel does for an owner without privilege: a directory without write permission gets no other parent. */
function refuseClosed(): void {
  const { renameat2 } = native;
  native.renameat2 = (...args) => {
    const [from, name, to] = args;
    const attr = new Attr();
    const status = native.statx(from, name, AT.SYMLINK_NOFOLLOW, attr.words);
    const isClosed = status >= 0 && (attr.mode & S.IFMT) === S.IFDIR && (attr.mode & 0o200) === 0;
    return isClosed && from !== to ? -Errno.EACCES : renameat2(...args);
  };
  cleanUp(() => void (native.renameat2 = renameat2));
}

test("a killed apply or undo leaves the mode of each directory of the session that its owner may not move", async () => {
  const session = await plantSession(
    { "shut/": directory({ mode: 0o555 }), "shut/in": file("old") },
    { "shut/": directory({ mode: 0o555 }), "shut/in": file("new") },
    IN_MEMORY,
  );
  const upper = treeOf(session.upper);
  refuseClosed();
  const undo = (): unknown => undoApply(session.place);
  for (const [killed, prepare] of [
    [(): unknown => reviewed(session).apply(), (): void => undefined],
    [undo, async (): Promise<void> => reviewed(session).apply()],
  ] as const)
    for (let call = 0; ; call++) {
      await prepare();
      const ended = await untilCall(call, killed);
      recoverApply(session.place);
      if (readdirSync(session.upper).length === 0) undo();
      expect(diffSnapshots(treeOf(session.upper), upper), `session after call ${call}`).toEqual([]);
      if (ended) break;
    }
});
