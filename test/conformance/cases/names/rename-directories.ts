/** Renames of directories: their lower entries must move with them. */
import { O } from "@sluice/vfs";
import { dir, file, opaque, whiteout } from "../../tree/tree.js";
import type { Case } from "../case.js";

/** A name that makes a redirect longer than the kernel's default redirect_max. */
export const LONG = "m".repeat(250);

export const renameDirectoryCases: readonly Case[] = [
  {
    name: "rename a lower directory in place and look below it",
    lower: { d: dir({ a: "1", s: dir({ b: "2", t: dir({ c: "3" }) }) }, { mode: 0o750, uid: 1000 }) },
    top: { d: dir({ m: "middle", s: dir({ n: "middle" }) }) },
    run(t) {
      t.rename("d", "e");
      t.stat("d");
      t.stat("e");
      t.list("e");
      t.read("e/s/t/c");
      t.read("e/m");
      t.create("e/s/new", "x");
      t.unlink("e/a");
      t.list("e");
      t.list("e/s");
      t.mkdir("d");
      t.list("d");
    },
  },
  {
    name: "a directory that moves where nothing lies below gets no mark",
    lower: { d: dir({ x: "1" }) },
    run(t) {
      t.mkdir("n");
      t.mkdir("n/a");
      t.rename("n/a", "n/b");
      t.mkdir("m");
      t.rename("m", "n/m");
      t.rename("n/b", "d/b");
      t.list("d/b");
    },
  },
  {
    name: "rename a lower directory into another directory and back",
    lower: { d: dir({ a: "1", s: dir({ b: "2" }) }), p: dir({ x: "1" }), q: dir({ r: dir() }) },
    run(t) {
      t.rename("d", "p/d");
      t.list("p/d");
      t.read("p/d/s/b");
      t.rename("p/d", "q/r/dd");
      t.read("q/r/dd/s/b");
      t.rename("q/r/dd", "d");
      t.read("d/s/b");
      t.list();
      t.list("d");
    },
  },
  {
    name: "rename directories within renamed directories",
    lower: { a: dir({ b: dir({ c: dir({ f: "deep" }) }) }) },
    run(t) {
      t.rename("a", "A");
      t.rename("A/b", "A/B");
      t.rename("A/B/c", "A/B/C");
      t.read("A/B/C/f");
      t.rename("A/B/C", "C");
      t.read("C/f");
      t.list("A/B");
      t.rename("C/f", "A/f");
      t.list("C");
      t.read("A/f");
      t.mkdir("a");
      t.list("a");
      t.rename("A", "a/A");
      t.list("a/A");
    },
  },
  {
    name: "rename a merged directory with whiteouts in it",
    lower: { d: dir({ a: "1", b: "2", s: dir({ x: "1" }) }) },
    upper: { d: dir({ a: whiteout(), c: "3", s: opaque({ y: "2" }) }) },
    run(t) {
      t.rename("d", "e");
      t.list("e");
      t.list("e/s");
      t.create("e/a", "again");
      t.rename("e", "f");
      t.list("f");
    },
  },
  {
    name: "rename an upper directory and an opaque one",
    lower: { op: dir({ a: "1" }), target: dir({}) },
    upper: { up: dir({ x: "1" }), op: opaque({ b: "2" }) },
    run(t) {
      t.rename("up", "up2");
      t.rename("op", "op2");
      t.list("op2");
      t.list("up2");
      t.list();
      t.mkdir("op");
      t.list("op");
      t.rename("up2", "target");
      t.list("target");
    },
  },
  {
    name: "rename over empty directories in every state",
    lower: {
      d1: dir({ a: "1" }),
      d2: dir({ a: "1" }),
      d3: dir({ a: "1" }),
      d4: dir({ a: "1" }),
      tl: dir(),
      tm: dir(),
      tw: dir({ x: "1", y: dir({}) }),
    },
    top: { tm: dir() },
    upper: { tm: dir(), tu: dir(), tw: dir({ x: whiteout(), y: whiteout() }) },
    run(t) {
      t.rename("d1", "tl");
      t.rename("d2", "tm");
      t.rename("d3", "tu");
      t.rename("d4", "tw");
      t.list();
      for (const name of ["tl", "tm", "tu", "tw"]) t.list(name);
    },
  },
  {
    name: "rename a new directory over empty directories in every state",
    lower: { tl: dir(), tm: dir(), tw: dir({ x: "1", y: dir({}) }), tg: dir({ z: "1" }) },
    upper: { tm: dir(), tu: dir(), tw: dir({ x: whiteout(), y: whiteout() }), tg: whiteout() },
    run(t) {
      for (const name of ["tl", "tm", "tu", "tw", "tg"]) {
        t.mkdir("n");
        t.create("n/f", name);
        t.rename("n", name);
        t.list(name);
      }
      t.list();
    },
  },
  {
    name: "rename over an open empty directory with whiteouts",
    lower: { d: dir({ a: "1" }), w: dir({ x: "1" }) },
    run(t) {
      t.unlink("w/x");
      const open = t.open("w", O.RDONLY | O.DIRECTORY);
      t.rename("d", "w");
      t.list("w");
      t.note("open directory", t.fino(open) !== t.ino("w"));
      t.close(open);
    },
  },
  {
    name: "rename onto directories that are not empty",
    lower: { d: dir({ a: "1" }), full: dir({ x: "1" }), half: dir({}), f: "1" },
    top: { half: dir({ y: "1" }) },
    upper: { up: dir({ z: "1" }) },
    run(t) {
      t.mkdir("n");
      for (const target of ["full", "half", "up", "f"]) {
        t.rename("d", target);
        t.rename("n", target);
      }
      t.rename("f", "d");
      t.rename("f", "n");
      t.list();
    },
  },
  {
    name: "rename a directory into itself or below itself",
    lower: { d: dir({ s: dir({ t: dir() }) }) },
    run(t) {
      t.rename("d", "d/s/x");
      t.rename("d", "d");
      t.rename("d/s", "d");
      t.rename("d/s/t", "d/s");
      t.list("d");
    },
  },
  {
    name: "a copied up file below a renamed directory",
    lower: { d: dir({ s: dir({ f: file("lower", { mode: 0o600, uid: 1000 }) }) }) },
    run(t) {
      t.rename("d", "e");
      t.chmod("e/s/f", 0o640);
      const fd = t.open("e/s/f", O.WRONLY | O.APPEND);
      t.write(fd, " more");
      t.close(fd);
      t.read("e/s/f");
      t.stat("e/s/f");
      t.rename("e/s", "s");
      t.read("s/f");
    },
  },
  {
    name: "files open below a directory that is renamed",
    lower: { d: dir({ s: dir({ f: "lower" }) }) },
    run(t) {
      const reader = t.open("d/s/f", O.RDONLY);
      t.rename("d", "e");
      const writer = t.open("e/s/f", O.RDWR);
      t.pwrite(writer, "UPPER", 0);
      t.pread(writer, 10, 0);
      t.note("reader open", reader >= 0);
      t.rename("e/s/f", "g");
      t.pwrite(writer, "!", 5);
      t.read("g");
    },
  },
  {
    name: "rename a directory whose lower name was reused",
    lower: { a: dir({ x: "a" }), b: dir({ x: "b" }) },
    run(t) {
      t.rename("a", "c");
      t.rename("b", "a");
      t.rename("c", "b");
      t.read("a/x");
      t.read("b/x");
      t.list();
      t.rename("a", "d");
      t.mkdir("a");
      t.list("a");
      t.list("d");
    },
  },
  {
    name: "remove a renamed directory with all below",
    lower: { d: dir({ a: "1", s: dir({ b: "2" }) }) },
    run(t) {
      t.rename("d", "e");
      t.unlink("e/a");
      t.rmdir("e");
      t.unlink("e/s/b");
      t.rmdir("e/s");
      t.rmdir("e");
      t.list();
      t.mkdir("d");
      t.mkdir("e");
      t.list("d");
      t.list("e");
    },
  },
  {
    name: "a redirect longer than 256 bytes",
    lower: { l: dir({ [LONG]: dir({ f: "deep" }) }), p: dir() },
    run(t) {
      t.rename(`l/${LONG}`, "p/m");
      t.read("p/m/f");
    },
  },
];
