import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  bytes,
  directory,
  fifo,
  sparse,
  file,
  hardLink,
  requires,
  scratch,
  snapshot,
  diffSnapshots,
  symlink,
  type Tree,
  whiteout,
  plant,
} from "@sluice/testkit";
import fc from "fast-check";
import { expect } from "vitest";
import { missingInPatch, parentsOf, patchesOf, shownDifferences } from "../index.js";
import { plantSession } from "../testing/plant-session.js";
import { textHunks } from "./text-hunks.js";

const { test } = requires("CAP_SYS_ADMIN", "command git");
const { test: withLists } = requires("CAP_SYS_ADMIN", "command git", "command setfacl");

/** The patch of a session, applied by git to a copy of its base; with the tree that it should give. */
async function applied(base: Tree, upper: Tree): Promise<string> {
  const session = await plantSession(base, upper);
  const all = session.review();
  const byPath = new Map(all.map((one) => [one.path, one]));
  const patches = [...patchesOf(session.stack(), shownDifferences(all), byPath)].flatMap(([, made]) => made);
  const copy = join(scratch(), "copy");
  cpSync(session.base, copy, { recursive: true, verbatimSymlinks: true });
  const input = Buffer.from(patches.map(({ text }) => text).join(""), "latin1");
  execFileSync("git", ["apply", "--whitespace=nowarn", "-p1", "-"], { cwd: copy, input, stdio: ["pipe", "pipe", "pipe"] });
  return copy;
}

const binary = Uint8Array.from({ length: 3000 }, (_, at) => (at * 7919) % 256);
const executable = { mode: 0o755 };

test("makes a patch that git applies to the same tree", async () => {
  const numbers = Array.from({ length: 100 }, (_, at) => `line ${at}\n`);
  const base: Tree = {
    text: file(numbers.join("")),
    cut: file("no newline at the end"),
    image: file(binary),
    gone: file("gone\n"),
    "gone binary": file(binary.slice(100)),
    emptied: file("content\n"),
    empty: file(""),
    run: file("#!/bin/sh\n"),
    link: symlink("old"),
    becomes: symlink("a link"),
    "dir/inner": file("a file in a directory\n"),
    plain: file("a file\n"),
    'old "name"': file("the same bytes\n"),
  };
  const changed: Tree = {
    text: file(numbers.map((line, at) => ([3, 50, 99].includes(at) ? `changed ${line}` : line)).join("")),
    cut: file("no newline at the end, still"),
    image: file(binary.slice().reverse()),
    gone: whiteout(),
    "gone binary": whiteout(),
    emptied: file(""),
    empty: whiteout(),
    run: file("#!/bin/sh\n", executable),
    link: symlink("new"),
    becomes: file("a file\n"),
    dir: file("a file now\n"),
    "plain/": directory({ opaque: true }),
    "plain/inner": file("a directory now\n"),
    'old "name"': whiteout(),
    "new\nname": file("the same bytes\n"),
    "with space": file("spaces\n"),
    "tab\there": file("tab\n"),
    "back\\slash": file("backslash\n"),
    [bytes("ünïcode")]: file("text\n"),
    "\xff\xfe": file("bytes\n"),
    fresh: file("", executable),
    "deep/er/new": file(binary),
    "-dash": file("dash\n"),
  };
  const expected = scratch();
  const { empty: _empty, gone: _gone, "gone binary": _binary, 'old "name"': _old, ...rest } = changed;
  plant(expected, { ...rest, "plain/": directory() });
  const copy = await applied(base, changed);
  for (const tree of [copy, expected]) chmodSync(tree, 0o755);
  expect(diffSnapshots(snapshot(copy), snapshot(expected)).filter((line) => !line.includes(": mtimeNs "))).toEqual([]);
});

test("names the changes that a patch cannot hold", async () => {
  const session = await plantSession(
    { mode: file("m", { mtimeNs: 1n }), owner: file("o", { mtimeNs: 1n }) },
    {
      mode: file("m", { mode: 0o600, mtimeNs: 1n }),
      owner: file("o", { uid: 7, mtimeNs: 1n }),
      pipe: fifo(),
      "bare/": directory(),
      large: sparse(300 << 20),
      plain: file("p"),
    },
  );
  const all = session.review();
  const missing = all.map((one) => `${one.path}: ${missingInPatch(session.stack(), one, new Set()) ?? "nothing"}`);
  expect(missing).toEqual([
    "bare: an empty directory",
    "large: a file of more than 256 MiB",
    "mode: its mode 0600",
    "owner: its owner",
    "pipe: neither a file nor a symbolic link",
    "plain: nothing",
  ]);
  const patches = [...patchesOf(session.stack(), all, new Map())].flatMap(([, made]) => made);
  expect(patches.map(({ text }) => text.split("\n")[0])).toEqual(["diff --git a/plain b/plain"]);
});

/** As setcap(8) writes it. */
const CAP_SETUID = Buffer.from("0100000280000000000000000000000000000000", "hex");

withLists("names the rights of a new object that a patch cannot hold, and its other names", async () => {
  const session = await plantSession(
    { kind: symlink("elsewhere"), run: file("r"), "was/": directory() },
    {
      "dir/": directory({ mode: 0o1777 }),
      "dir/in": file("in"),
      caps: file("c", { mode: 0o755, xattrs: { "security.capability": CAP_SETUID } }),
      kind: file("k", { mode: 0o4755 }),
      link: symlink("to"),
      listed: file("l"),
      noted: file("n", { xattrs: { "user.note": "kept" } }),
      one: file("1"),
      other: hardLink("one"),
      owned: file("o", { uid: 7 }),
      run: file("changed", { mode: 0o6755 }),
      secret: file("s", { mode: 0o600 }),
    },
  );
  execFileSync("setfacl", ["--modify", "u:1000:r-x", join(session.upper, "run")]);
  execFileSync("setfacl", ["--modify", "u:1000:r--", join(session.upper, "listed")]);
  const all = session.review();
  const parents = parentsOf(shownDifferences(all));
  expect(
    all.flatMap((one) => (one.path === "dir/in" ? [] : [`${one.path}: ${missingInPatch(session.stack(), one, parents) ?? "nothing"}`])),
  ).toEqual([
    "caps: its capabilities",
    "dir: its mode 01777",
    "kind: its mode 04755",
    "link: nothing",
    "listed: its access list",
    "noted: its extended attributes",
    "one: its hard link to other",
    "other: its hard link to one",
    "owned: its owner",
    "run: its access list and mode 06755",
    "secret: its mode 0600",
  ]);
});

test("names the removals of empty directories, of which git removes none", async () => {
  const base: Tree = {
    "full/sub/f": file("f\n"),
    "moved/f": file("m\n"),
    "kind/in": file("in\n"),
    "kind/bare/": directory(),
    "lone/": directory(),
  };
  const changed: Tree = { full: whiteout(), moved: whiteout(), new: file("m\n"), kind: file("a file\n"), lone: whiteout() };
  const session = await plantSession(base, changed);
  const all = session.review();
  const byPath = new Map(all.map((one) => [one.path, one]));
  const shown = shownDifferences(all);
  const missing = shown.flatMap((one) => {
    const reason = missingInPatch(session.stack(), one, parentsOf(shown), byPath.get(one.from ?? ""));
    return reason === undefined ? [] : [`${one.path}: ${reason}`];
  });
  expect(missing).toEqual(["kind/bare: the removal of an empty directory", "lone: the removal of an empty directory"]);
  rmdirSync(join(session.base, "kind/bare"));
  const patch = [...patchesOf(session.stack(), shown, byPath)].flatMap(([, made]) => made.map(({ text }) => text)).join("");
  execFileSync("git", ["apply"], { cwd: session.base, input: Buffer.from(patch, "latin1") });
  expect(readdirSync(session.base).sort()).toEqual(["kind", "lone", "new"]);
});

test("names of a renamed file only the metadata that a patch cannot hold", async () => {
  const session = await plantSession(
    { one: file("1\n", { mtimeNs: 1n }), two: file("2\n", { mtimeNs: 1n }), three: file("3\n", { mtimeNs: 1n }) },
    {
      ...{ one: whiteout(), two: whiteout(), three: whiteout() },
      "moved/": directory(),
      "moved/one": file("1\n", { mode: 0o755, mtimeNs: 1n }),
      "moved/three": file("3\n", { uid: 7, mode: 0o755, mtimeNs: 1n }),
      "moved/two": file("2\n", { mode: 0o600, mtimeNs: 1n }),
    },
  );
  const all = session.review();
  const byPath = new Map(all.map((one) => [one.path, one]));
  const missing = (selected: typeof all): string[] =>
    shownDifferences(selected)
      .filter(({ after }) => after !== undefined)
      .map((one) => `${one.path}: ${missingInPatch(session.stack(), one, new Set(["moved"]), byPath.get(one.from ?? "")) ?? "nothing"}`);
  expect(missing(all)).toEqual(["moved: nothing", "moved/one: nothing", "moved/three: its owner", "moved/two: its mode 0600"]);
  const alone = all.filter(({ path }) => path.startsWith("moved"));
  expect(missing(alone)).toEqual(["moved: nothing", "moved/one: nothing", "moved/three: its owner", "moved/two: its mode 0600"]);
});

test("makes hunks that git applies to whatever lines there are", () => {
  const root = scratch();
  const text = fc.array(fc.constantFrom("a\n", "b\n", "c\n", "\n"), { maxLength: 40 }).map((lines) => lines.join(""));
  const ending = fc.constantFrom("", "end");
  fc.assert(
    fc.property(text, ending, text, ending, (one, oneEnd, other, otherEnd) => {
      const [before, after] = [one + oneEnd, other + otherEnd];
      fc.pre(before !== after && before !== "" && after !== "");
      const work = join(root, "work");
      rmSync(work, { recursive: true, force: true });
      mkdirSync(work);
      plant(work, { f: file(before) });
      const { text: hunks } = textHunks(Buffer.from(before), Buffer.from(after));
      const input = `diff --git a/f b/f\n--- a/f\n+++ b/f\n${hunks}`;
      execFileSync("git", ["apply", "--whitespace=nowarn", "--unidiff-zero", "-"], { cwd: work, input, stdio: ["pipe", "pipe", "pipe"] });
      expect(execFileSync("cat", [join(work, "f")]).toString()).toBe(after);
    }),
    { numRuns: 40 },
  );
});
