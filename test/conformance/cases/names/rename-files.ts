/** Renames of other objects than directories: every state of the source over every state of the target. */
import { O } from "@sluice/vfs";
import { dir, fifo, file, hardLink, symlink, whiteout } from "../../tree/tree.js";
import type { Case } from "../case.js";

const SOURCES = ["low", "both", "up", "link", "pipe"];
const TARGETS = ["none", "tlow", "tboth", "tup", "tgone", "tdir", "tlink"];

/** Objects of each kind in one directory; `n` copies of each source, as each rename uses one up. */
function objects(): { lower: Record<string, ReturnType<typeof file>>; upper: Record<string, ReturnType<typeof file>> } {
  const lower: Record<string, ReturnType<typeof file>> = {};
  const upper: Record<string, ReturnType<typeof file>> = {};
  for (const target of TARGETS) {
    lower[`low-${target}`] = file("low");
    lower[`both-${target}`] = file("lower of both");
    upper[`both-${target}`] = file("both");
    upper[`up-${target}`] = file("up");
    lower[`link-${target}`] = symlink("x");
    lower[`pipe-${target}`] = fifo();
  }
  return { lower, upper };
}

function ontoEvery(source: string, elsewhere: boolean): Case {
  const { lower, upper } = objects();
  const targets = {
    lower: { tlow: "t", tboth: "t", tgone: "t", tdir: dir({}), tlink: symlink("y") },
    upper: { tboth: "T", tup: "T", tgone: whiteout() },
  };
  return {
    name: `rename a ${source} object onto every target ${elsewhere ? "in another directory" : "in place"}`,
    lower: elsewhere ? { s: dir(lower), d: dir(targets.lower) } : { ...lower, ...targets.lower },
    upper: elsewhere ? { s: dir(upper), d: dir(targets.upper) } : { ...upper, ...targets.upper },
    run(t) {
      for (const target of TARGETS) {
        const from = elsewhere ? `s/${source}-${target}` : `${source}-${target}`;
        const to = elsewhere ? `d/${target}` : target;
        t.rename(from, to);
        t.stat(from);
        t.stat(to);
        t.read(to);
      }
      t.list(elsewhere ? "s" : ".");
      t.list(elsewhere ? "d" : ".");
    },
  };
}

export const renameFileCases: readonly Case[] = [
  ...SOURCES.map((source) => ontoEvery(source, false)),
  ...SOURCES.map((source) => ontoEvery(source, true)),
  {
    name: "rename there and back again",
    lower: { a: "1", d: dir({}) },
    run(t) {
      t.rename("a", "b");
      t.rename("b", "a");
      t.read("a");
      t.rename("a", "d/a");
      t.rename("d/a", "a");
      t.list();
      t.list("d");
    },
  },
  {
    name: "rename onto itself and its own other name",
    lower: { a: "1", b: hardLink("a") },
    run(t) {
      t.rename("a", "a");
      t.create("x", "up");
      t.link("x", "y");
      t.rename("x", "y");
      t.list();
      t.nlink("x");
      t.rename("a", "b");
      t.list();
    },
  },
  {
    name: "rename over an open file",
    lower: { a: "source", b: "target", c: "source", d: "target" },
    upper: { c: "source", d: "target" },
    run(t) {
      for (const [from, to] of [
        ["a", "b"],
        ["c", "d"],
      ] as const) {
        const open = t.open(to, O.RDWR);
        const reader = t.open(to, O.RDONLY);
        t.rename(from, to);
        t.fstat(open);
        t.fstat(reader);
        t.pwrite(open, "TARGET", 0);
        t.pread(reader, 10, 0);
        t.ftruncate(open, 3);
        t.fchmod(open, 0o600);
        t.fstat(reader);
        t.read(to);
        t.close(open);
        t.close(reader);
      }
    },
  },
  {
    name: "rename over a lower file that is open for reading",
    lower: { a: "source", b: "target" },
    run(t) {
      const reader = t.open("b", O.RDONLY);
      t.rename("a", "b");
      t.fstat(reader);
      t.pread(reader, 10, 0);
      t.read("b");
      t.stat("b");
    },
  },
  {
    name: "rename of an open file keeps the open descriptors",
    lower: { a: "lower", d: dir() },
    run(t) {
      const reader = t.open("a", O.RDONLY);
      t.rename("a", "d/b");
      t.pread(reader, 10, 0);
      const writer = t.open("d/b", O.RDWR);
      t.pwrite(writer, "LOWER", 0);
      t.pread(writer, 10, 0);
      t.rename("d/b", "c");
      t.pwrite(writer, "more", 5);
      t.read("c");
      t.fstat(writer);
    },
  },
  {
    name: "rename with missing names and through files",
    lower: { f: "1", d: dir() },
    run(t) {
      t.rename("missing", "x");
      t.rename("f", "missing/x");
      t.rename("f/x", "y");
      t.rename("f", "f/x");
      t.rename("f", `d/${"n".repeat(256)}`);
      t.rename("n".repeat(256), "f");
      t.rename("f", `d/${"n".repeat(255)}`);
      t.list("d");
    },
  },
  {
    name: "times after a rename",
    lower: { f: "1", s: dir({ x: "1" }), d: dir() },
    run(t) {
      t.rename("s/x", "d/x");
      for (const path of ["s", "d", "d/x"]) t.stat(path);
      t.rename("f", "g");
      t.stat("g");
    },
  },
];
