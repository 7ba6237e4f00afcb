/** renameat2(2) with flags. */
import { RENAME } from "@sluice/vfs";
import { dir, symlink, whiteout } from "../../tree/tree.js";
import type { Case } from "../case.js";

const { NOREPLACE, EXCHANGE, WHITEOUT } = RENAME;

export const renameFlagCases: readonly Case[] = [
  {
    name: "RENAME_NOREPLACE in every state of the target",
    lower: { a: "1", b: "1", c: "1", d: dir({ x: "1" }), tl: "t", tg: "t", tdir: dir() },
    upper: { tu: "t", tg: whiteout() },
    run(t) {
      for (const target of ["tl", "tu", "tdir"]) t.rename("a", target, NOREPLACE);
      t.rename("a", "tg", NOREPLACE);
      t.rename("b", "new", NOREPLACE);
      t.rename("c", "c", NOREPLACE);
      t.rename("d", "dd", NOREPLACE);
      t.list();
      t.list("dd");
    },
  },
  {
    name: "RENAME_EXCHANGE of files in every state",
    lower: { low: "low", low2: "low2", both: "both-lower", s: dir({ far: "far" }) },
    upper: { both: "both", up: "up" },
    run(t) {
      t.rename("low", "low2", EXCHANGE);
      t.rename("low", "up", EXCHANGE);
      t.rename("both", "up", EXCHANGE);
      t.rename("low2", "s/far", EXCHANGE);
      for (const name of ["low", "low2", "both", "up", "s/far"]) t.read(name);
      t.list();
      t.unlink("low");
      t.unlink("s/far");
      t.list();
      t.list("s");
    },
  },
  {
    name: "RENAME_EXCHANGE of directories in every state",
    lower: { low: dir({ a: "low" }), low2: dir({ a: "low2" }), mer: dir({ a: "mer" }), p: dir({ far: dir({ a: "far" }) }) },
    upper: { mer: dir({ b: "merged" }), up: dir({ a: "up" }) },
    run(t) {
      t.rename("low", "low2", EXCHANGE);
      t.list("low");
      t.read("low/a");
      t.read("low2/a");
      t.rename("low", "up", EXCHANGE);
      t.read("low/a");
      t.read("up/a");
      t.rename("mer", "up", EXCHANGE);
      t.list("up");
      t.read("mer/a");
      t.rename("mer", "p/far", EXCHANGE);
      t.read("mer/a");
      t.read("p/far/a");
      t.list("p/far");
    },
  },
  {
    name: "RENAME_EXCHANGE of a directory and a file",
    lower: { d: dir({ a: "1" }), f: "file", l: symlink("x") },
    run(t) {
      t.rename("d", "f", EXCHANGE);
      t.read("d");
      t.list("f");
      t.rename("f", "l", EXCHANGE);
      t.list("l");
      t.readlink("f");
      t.unlink("d");
      t.list();
    },
  },
  {
    name: "RENAME_EXCHANGE with missing and nested names",
    lower: { f: "1", gone: "1", d: dir({ s: dir() }) },
    upper: { gone: whiteout() },
    run(t) {
      t.rename("f", "missing", EXCHANGE);
      t.rename("f", "gone", EXCHANGE);
      t.rename("missing", "f", EXCHANGE);
      t.rename("d", "d/s", EXCHANGE);
      t.rename("f", "f", EXCHANGE);
      t.list();
    },
  },
  {
    name: "RENAME_EXCHANGE of open files",
    lower: { a: "aaaa", b: "bbbb" },
    run(t) {
      const fd = t.open("a", 2);
      t.rename("a", "b", EXCHANGE);
      t.pwrite(fd, "AA", 0);
      t.read("b");
      t.read("a");
      t.close(fd);
    },
  },
  {
    name: "RENAME_WHITEOUT and mixed flags are refused",
    lower: { f: "1", g: "1" },
    run(t) {
      t.rename("f", "x", WHITEOUT);
      t.rename("f", "x", WHITEOUT | NOREPLACE);
      t.rename("f", "g", EXCHANGE | NOREPLACE);
      t.rename("f", "g", EXCHANGE | WHITEOUT);
      t.rename("f", "g", 8);
      t.list();
    },
  },
];
