/** Hard links: of lower, upper, copied-up objects; into and over every kind of place. */
import { dir, fifo, hardLink, symlink, whiteout } from "../../tree/tree.js";
import type { Case } from "../case.js";

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
    name: "names of one lower file stay one file when one is written",
    lower: { a: "one file", b: hardLink("a"), c: hardLink("a"), d: dir({ e: hardLink("a") }) },
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
      t.same("a and d/e", t.ino("a"), t.ino("d/e"));
    },
  },
  {
    name: "names of one lower file are counted over link unlink and rename",
    lower: { a: "one file", b: hardLink("a"), c: hardLink("a"), d: dir({ e: hardLink("a"), other: "o" }), t: "target" },
    run(t) {
      const counts = (): void => {
        for (const path of ["a", "b", "c", "d/e", "d/f", "g", "t"]) t.nlink(path);
      };
      counts();
      t.unlink("b");
      counts();
      t.link("c", "d/f");
      counts();
      t.rename("d/e", "g");
      counts();
      t.rename("g", "t");
      counts();
      t.rename("d/other", "c");
      counts();
      const fd = t.open("a", 2);
      for (const path of ["a", "t", "d/f"]) {
        t.unlink(path);
        t.fstat(fd);
      }
      t.pwrite(fd, "ONE", 0);
      t.pread(fd, 8, 0);
      t.close(fd);
      t.list();
      t.list("d");
    },
  },
  {
    name: "names of lower symlinks and fifos stay one",
    // Sluice links all known names in the upper layer, the kernel only the one in use.
    seenOnly: true,
    lower: { l: symlink("nowhere"), l2: hardLink("l"), p: fifo(), p2: hardLink("p") },
    run(t) {
      t.chown("l", 5, 6);
      t.chmod("p", 0o600);
      for (const name of ["l", "l2", "p", "p2"]) t.stat(name);
      t.same("l", t.ino("l"), t.ino("l2"));
      t.same("p", t.ino("p"), t.ino("p2"));
      t.unlink("l");
      t.readlink("l2");
      t.nlink("l2");
    },
  },
  {
    name: "a name of a lower file that was written by another name is replaced and comes back",
    lower: { a: "one file", b: hardLink("a"), c: hardLink("a") },
    run(t) {
      t.append(t.open("a", 1), "+");
      t.unlink("b");
      t.create("b", "new");
      t.nlink("a");
      t.read("c");
      t.link("c", "d");
      t.rename("b", "c");
      for (const name of ["a", "c", "d"]) {
        t.nlink(name);
        t.read(name);
      }
      t.list();
    },
  },
  {
    name: "names of one lower file change places",
    // Sluice links all known names in the upper layer, the kernel only the one in use.
    seenOnly: true,
    lower: { a: "one file", b: hardLink("a"), x: "other", y: hardLink("x"), d: dir({ z: hardLink("x") }) },
    run(t) {
      t.rename("a", "x", 2);
      for (const name of ["a", "b", "x", "y", "d/z"]) {
        t.nlink(name);
        t.read(name);
      }
      t.rename("a", "y");
      t.nlink("a");
      t.rename("d", "d2");
      t.unlink("d2/z");
      t.nlink("y");
      t.list();
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
