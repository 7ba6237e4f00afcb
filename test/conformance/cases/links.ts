/** Hard links: of lower, upper, copied-up objects; into and over every kind of place. */
import { dir, fifo, hardLink, symlink, whiteout } from "../tree/tree.js";
import type { Case } from "./case.js";

export const linkCases: readonly Case[] = [
  {
    name: "link of a lower an upper and a copied up file",
    lower: { low: "1", cop: "2", d: dir({ x: "1" }) },
    upper: { up: "3" },
    run(t) {
      t.chmod("cop", 0o600);
      for (const name of ["low", "cop", "up"]) {
        t.link(name, `d/${name}`);
        t.stat(name);
        t.stat(`d/${name}`);
        t.same(`${name} is one file`, t.ino(name), t.ino(`d/${name}`));
      }
      t.unlink("low");
      t.stat("d/low");
      t.read("d/low");
    },
  },
  {
    name: "link onto an existing name and over a whiteout",
    lower: { f: "1", there: "x", gone: "y", d: dir() },
    upper: { gone: whiteout(), up: "u" },
    run(t) {
      for (const name of ["there", "d", "up", "gone"]) t.link("f", name);
      t.read("gone");
      t.nlink("f");
      t.list();
    },
  },
  {
    name: "link of directories and missing names",
    lower: { d: dir({ x: "1" }), f: "1" },
    run(t) {
      t.link("d", "e");
      t.link("missing", "e");
      t.link("f", "d/x");
      t.link("f", "missing/x");
      t.link("f", "f");
      t.list();
    },
  },
  {
    name: "link of symlinks and special files",
    lower: { l: symlink("f"), p: fifo({ mode: 0o640 }), f: "x" },
    run(t) {
      t.link("l", "l2");
      t.readlink("l2");
      t.link("l", "f2", 0x400);
      t.read("f2");
      t.link("p", "p2");
      t.stat("p2");
      t.stat("l2");
      t.nlink("f");
    },
  },
  {
    name: "names of one lower file part when one is written",
    lower: { a: "one file", b: hardLink("a"), c: hardLink("a") },
    run(t) {
      t.nlink("a");
      t.chmod("a", 0o600);
      t.nlink("a");
      t.nlink("b");
      t.stat("b");
      const fd = t.open("b", 1);
      t.write(fd, "B");
      t.close(fd);
      for (const name of ["a", "b", "c"]) t.read(name);
      t.same("a and b", t.ino("a"), t.ino("b"));
      t.same("a and c", t.ino("a"), t.ino("c"));
    },
  },
  {
    name: "a chain of links and unlinks keeps count",
    run(t) {
      t.create("a", "x");
      t.link("a", "b");
      t.link("b", "c");
      t.nlink("a");
      t.unlink("a");
      t.nlink("c");
      t.rename("b", "d");
      t.nlink("d");
      t.rename("d", "c");
      t.list();
      t.unlink("d");
      t.nlink("c");
      t.link("c", "a");
      t.unlink("c");
      t.read("a");
      t.nlink("a");
    },
  },
  {
    name: "a change by one name of an upper file shows by the other",
    lower: { d: dir() },
    run(t) {
      t.create("a", "first");
      t.link("a", "d/b");
      t.stat("a");
      t.chmod("d/b", 0o600);
      t.stat("a");
      const fd = t.open("d/b", 1);
      t.write(fd, "SECOND");
      t.stat("a");
      t.read("a");
      t.unlink("a");
      t.fstat(fd);
      t.stat("d/b");
    },
  },
];
