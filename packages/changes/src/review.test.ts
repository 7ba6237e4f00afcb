import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { directory, fifo, file, requires, scratch, symlink, whiteout } from "@sluice/testkit";
import { native } from "@sluice/native";
import { expect, vi } from "vitest";
import { differenceLine, selectorOf, shownDifferences, summaryOf } from "./index.js";
import { pause, type PlantedSession, plantSession } from "./testing/plant-session.js";

const { test } = requires("CAP_SYS_ADMIN");
const { test: withLists } = requires("CAP_SYS_ADMIN", "command setfacl");
const OLD = { mtimeNs: 1_000_000_000n };

function linesOf(session: PlantedSession): string[] {
  const all = session.review();
  const byPath = new Map(all.map((one) => [one.path, one]));
  const stack = session.stack();
  return shownDifferences(all).map((one) =>
    differenceLine(stack, one, one.from === undefined ? undefined : byPath.get(one.from)).trimEnd(),
  );
}

test("compares contents before it calls a file modified", async () => {
  const session = await plantSession(
    { same: file("s", OLD), touched: file("t", OLD), longer: file("l", OLD), sneaky: file("old!", OLD) },
    { same: file("s", OLD), touched: file("t"), longer: file("ll"), sneaky: file("new!", OLD) },
  );
  expect(linesOf(session)).toEqual(["M longer", "M sneaky"]);
});

/** Two bytes of data in a file of 64 GiB. */
function writeSparse(path: string, last: string): void {
  const fd = openSync(path, "w");
  ftruncateSync(fd, 64 * 2 ** 30);
  writeSync(fd, "data", 5 * 2 ** 30);
  writeSync(fd, last, 60 * 2 ** 30);
  closeSync(fd);
}

test("compares files without reading their holes, and finds renamed ones", async () => {
  const session = await plantSession(
    { same: file(""), other: file(""), gone: file("") },
    { same: file(""), other: file(""), gone: whiteout(), come: file("") },
  );
  for (const at of [session.base, session.upper]) for (const name of ["same", "other"]) writeSparse(join(at, name), "same");
  writeSparse(join(session.upper, "other"), "else");
  writeSparse(join(session.base, "gone"), "moved");
  writeSparse(join(session.upper, "come"), "moved");
  // The same bytes, and another layout.
  writeSparse(join(session.upper, "same"), "same");
  const fd = openSync(join(session.upper, "same"), "r+");
  writeSync(fd, Buffer.alloc(4096), 0, 4096, 7 * 2 ** 30);
  closeSync(fd);
  const { pread } = native;
  let reads = 0;
  const count = vi.spyOn(native, "pread").mockImplementation((...args) => {
    if (++reads > 1000) throw new Error("the holes are read");
    return pread(...args);
  });
  const changes = linesOf(session).map((line) => line.replace(" [changed underneath]", ""));
  expect(changes).toEqual(["R gone -> come", "M other"]);
  count.mockRestore();
});

test("lists every entry that a whiteout or an opaque directory deletes", async () => {
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`gone/d/${at}`, file(`content ${at}`)]));
  const session = await plantSession(
    { ...many, "whole/a": file("a"), "whole/in/b": file("b"), "whole/kept": file("k") },
    { gone: whiteout(), "whole/": directory({ opaque: true }), "whole/kept": file("k"), "whole/fresh": file("f") },
  );
  const lines = linesOf(session);
  expect(lines.filter((line) => line.startsWith("D gone"))).toHaveLength(302);
  expect(lines.filter((line) => line.includes("whole"))).toEqual(["D whole/a", "A whole/fresh", "D whole/in/", "D whole/in/b"]);
  expect(summaryOf(session.review())).toBe("1 added, 305 deleted");
});

/** As setcap(8) writes it. */
const CAP_SETUID = Buffer.from("0100000280000000000000000000000000000000", "hex");

withLists("shows modes, links, special files, attributes and changed types", async () => {
  const session = await plantSession(
    { mode: file("m", OLD), link: symlink("old"), marked: file("x", OLD), kind: symlink("away"), "folder/in": file("i") },
    {
      mode: file("m", { ...OLD, mode: 0o600 }),
      link: symlink("/etc/passwd"),
      marked: file("x", { ...OLD, xattrs: { "user.note": "1" } }),
      kind: file("plain"),
      folder: file("now a file", { mode: 0o4711 }),
      pipe: fifo(),
      root: file("#!", { mode: 0o4755 }),
      able: file("#!", { xattrs: { "security.capability": CAP_SETUID, "user.note": "1" } }),
      "shared/": directory(),
    },
  );
  execFileSync("setfacl", ["--default", "--modify", "u:1000:rwx", join(session.upper, "shared")]);
  execFileSync("setfacl", ["--modify", "u:1000:rw-", join(session.upper, "kind")]);
  expect(linesOf(session)).toEqual([
    "A able (capabilities)",
    "T folder (directory to regular, mode 04711)",
    "D folder/in",
    "T kind (symlink to regular, access list)",
    "M link (to /etc/passwd)",
    "m marked (extended attributes)",
    "m mode (mode 0644 to 0600)",
    "A pipe (fifo)",
    "A root (mode 04755)",
    "A shared/ (access list)",
  ]);
});

test("finds renamed files and directories", async () => {
  const session = await plantSession(
    { "from/x": file("x"), "from/y": file("y"), old: file("the same bytes"), empty: file("") },
    {
      from: whiteout(),
      "to/": directory({ xattrs: { "trusted.overlay.redirect": "/from" } }),
      "to/y": file("changed"),
      old: whiteout(),
      "new": file("the same bytes"),
      empty: whiteout(),
      void: file(""),
    },
  );
  expect(linesOf(session)).toEqual(["D empty", "D from/", "D from/y", "R old -> new", "A to/", "R from/x -> to/x", "A to/y", "A void"]);
});

test("shows .git/config, hooks and names that forge lines", async () => {
  const session = await plantSession(
    { ".git/config": file("[core]\n", OLD) },
    {
      ".git/config": file("[core]\n\tfsmonitor = evil\n"),
      ".git/hooks/pre-commit": file("#!/bin/sh\n", { mode: 0o755 }),
      "a\nD b": file(""),
    },
  );
  expect(linesOf(session)).toEqual(["M .git/config", "A .git/hooks/", "A .git/hooks/pre-commit", "A a\\nD b"]);
});

test("selects by paths and patterns", () => {
  const chosen = (words: string[]): string[] =>
    ["a.lock", "src/a.c", "src/deep/b.c", "src/deep/c.lock", "srcs"].filter(selectorOf("/base", words));
  expect(chosen(["src"])).toEqual(["src/a.c", "src/deep/b.c", "src/deep/c.lock"]);
  expect(chosen(["./src/", "!*.lock"])).toEqual(["src/a.c", "src/deep/b.c"]);
  expect(chosen(["/base/src/deep"])).toEqual(["src/deep/b.c", "src/deep/c.lock"]);
  expect(chosen(["!/src/*.c", "!deep"])).toEqual(["a.lock", "srcs"]);
  expect(chosen(["!/src/*.c"])).toEqual(["a.lock", "src/deep/b.c", "src/deep/c.lock", "srcs"]);
  expect(chosen(["!src/**/*.c"])).toEqual(["a.lock", "src/deep/c.lock", "srcs"]);
  for (const elsewhere of ["/elsewhere", "/", "//"]) expect(() => chosen([elsewhere])).toThrow(/not in \/base/);
});

test("an empty word, as of a variable that is not set, selects nothing", () => {
  const root = scratch();
  mkdirSync(join(root, "base/src"), { recursive: true });
  symlinkSync("base", join(root, "link"));
  const reached = (word: string): string[] => ["src/a", "other"].filter(selectorOf(join(root, "base"), [word]));
  expect(["link", "link/src", "link/src/a", "link/src/a/gone"].map((word) => reached(join(root, word)))).toEqual([
    ["src/a", "other"],
    ["src/a"],
    ["src/a"],
    [],
  ]);
  expect(() => reached(join(root, "elsewhere"))).toThrow(/the path is not in/);
  expect(() => selectorOf("/base", [""])).toThrow(/the path is empty/);
  for (const pattern of ["!", "!/"]) expect(() => selectorOf("/base", [pattern])).toThrow(/the pattern is empty/);
  expect(["f"].filter(selectorOf("/base", ["."]))).toEqual(["f"]);
});

test("tells what changed underneath from what the session changed", async () => {
  const session = await plantSession(
    { edited: file("old", OLD), replaced: file("old", OLD), removed: file("old"), calm: file("old", OLD), "dir/x": file("x") },
    { edited: file("new"), replaced: file("new"), removed: whiteout(), calm: file("new"), made: file("session's"), dir: whiteout() },
  );
  writeFileSync(join(session.base, "edited"), "somebody else's");
  writeFileSync(join(session.base, "aside"), "another file");
  renameSync(join(session.base, "aside"), join(session.base, "replaced"));
  chmodSync(join(session.base, "removed"), 0o600);
  writeFileSync(join(session.base, "made"), "somebody else's");
  writeFileSync(join(session.base, "dir/new"), "somebody else's");
  await pause();
  expect(linesOf(session)).toEqual([
    "M calm",
    "D dir/",
    "D dir/new [changed underneath]",
    "D dir/x",
    "M edited [changed underneath]",
    "M made [changed underneath]",
    "D removed [changed underneath]",
    "M replaced [changed underneath]",
  ]);
  rmSync(join(session.base, "calm"));
  expect(linesOf(session)).toContain("A calm");
  expect(readdirSync(session.base)).not.toContain("calm");
});
