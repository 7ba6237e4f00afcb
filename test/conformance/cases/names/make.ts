/** Making objects, in every kind of directory and over every kind of hidden name. */
import { O, S } from "@sluice/vfs";
import { dir, file, opaque, symlink, whiteout } from "../../tree/tree.js";
import type { Probe } from "../../probe/probe.js";
import type { Case } from "../case.js";

function makeOne(t: Probe, path: string, kind: string): void {
  switch (kind) {
    case "file":
      return t.create(path, "new", 0o640);
    case "directory":
      return t.mkdir(path, 0o750);
    case "symlink":
      return t.symlink("target", path);
    case "fifo":
      return t.mknod(path, S.IFIFO | 0o622);
    case "socket":
      return t.mknod(path, S.IFSOCK | 0o755);
    case "character device":
      return t.mknod(path, S.IFCHR | 0o666, 1, 300);
    case "block device":
      return t.mknod(path, S.IFBLK | 0o660, 259, 7);
    default:
      return t.mknod(path, S.IFREG | 0o604);
  }
}

const KINDS = ["file", "directory", "symlink", "fifo", "socket", "character device", "block device", "node of a file"];

function everyKind(kind: string): Case {
  return {
    name: `make a ${kind} in a pure lower merged and opaque directory and over whiteouts`,
    lower: { low: dir({ a: "1" }), mer: dir({ a: "1", gone: "x", gonedir: dir({ x: "1" }) }), op: dir({ a: "1" }), f: "x" },
    upper: { up: dir(), mer: dir({ b: "2", gone: whiteout(), gonedir: whiteout() }), op: opaque() },
    run(t) {
      for (const place of ["up/n", "low/n", "mer/n", "mer/gone", "mer/gonedir", "op/a", "op/n"]) {
        makeOne(t, place, kind);
        t.stat(place);
      }
      makeOne(t, "low/a", kind);
      makeOne(t, "up/n", kind);
      makeOne(t, "mer/a", kind);
      for (const path of ["low", "mer", "op", "up"]) t.list(path);
    },
  };
}

export const makeCases: readonly Case[] = [
  ...KINDS.map(everyKind),
  {
    name: "a directory made over a whiteout is opaque",
    lower: { d: dir({ a: "1", sub: dir({ b: "2" }) }), m: dir({ x: dir({ y: "1" }) }) },
    run(t) {
      t.unlink("d/a");
      t.unlink("d/sub/b");
      t.rmdir("d/sub");
      t.rmdir("d");
      t.mkdir("d", 0o755);
      t.list("d");
      t.mkdir("d/sub");
      t.list("d/sub");
      t.unlink("m/x/y");
      t.rmdir("m/x");
      t.mkdir("m/x");
      t.list("m/x");
    },
  },
  {
    name: "O_EXCL refuses an existing name in any layer and a dangling link",
    lower: { f: "x", l: symlink("nowhere"), gone: "y" },
    upper: { g: "up", gone: whiteout() },
    run(t) {
      for (const name of ["f", "l", "g", "gone"]) t.open(name, O.CREAT | O.EXCL | O.RDWR);
      t.list();
    },
  },
  {
    name: "O_CREAT opens what exists and follows links",
    lower: { f: "x", l: symlink("made"), d: dir() },
    run(t) {
      const fd = t.open("f", O.CREAT | O.RDWR);
      t.pread(fd, 10, 0);
      const made = t.open("l", O.CREAT | O.RDWR);
      t.write(made, "by link");
      t.open("d", O.CREAT | O.RDWR);
      t.open("d", O.RDWR);
      t.open("f", O.DIRECTORY);
      t.open("l", O.NOFOLLOW);
      t.read("made");
      t.list();
    },
  },
  {
    name: "a whiteout cannot be made through the mount",
    lower: { f: "x" },
    run(t) {
      t.mknod("w", S.IFCHR | 0o666, 0, 0);
      t.stat("w");
      t.list();
    },
  },
  {
    name: "the umask applies to every kind of new object",
    run(t) {
      for (const mask of [0o000, 0o027, 0o077]) {
        t.withUmask(mask, () => {
          for (const kind of KINDS) {
            const path = `${kind} ${mask.toString(8)}`;
            makeOne(t, path, kind);
            t.stat(path);
          }
          const fd = t.open(`open ${mask}`, O.CREAT | O.WRONLY, 0o666);
          t.fstat(fd);
        });
      }
    },
  },
  {
    name: "modes with suid sgid and sticky at creation",
    run(t) {
      t.withUmask(0, () => {
        t.create("f", "x", 0o7777);
        t.mkdir("d", 0o7777);
        t.mknod("p", S.IFIFO | 0o7777);
      });
      for (const name of ["f", "d", "p"]) t.stat(name);
    },
  },
  {
    name: "a nameless file gets a name by linkat",
    lower: { d: dir({ a: "1" }), gone: "x" },
    upper: { gone: whiteout() },
    run(t) {
      const fd = t.open("d", O.TMPFILE | O.RDWR, 0o640);
      t.fstat(fd);
      t.write(fd, "nameless");
      t.linkFd(fd, "d/named");
      t.fstat(fd);
      t.read("d/named");
      t.linkFd(fd, "gone");
      t.nlink("gone");
      t.linkFd(fd, "d/a");
      t.list("d");
      const nameless = t.open("d", O.TMPFILE | O.EXCL | O.RDWR, 0o600);
      t.linkFd(nameless, "never");
      t.close(nameless);
      const readOnly = t.open("d", O.TMPFILE | O.RDONLY, 0o600);
      t.note("fd", readOnly < 0);
      t.link("d/named", "again");
      t.nlink("again");
    },
  },
  {
    name: "a parents mtime changes when a name is made",
    lower: { d: dir({}), e: dir({}), f: dir({}), g: file("x") },
    run(t) {
      t.create("d/x");
      t.mkdir("e/x");
      t.link("g", "f/x");
      for (const name of ["d", "e", "f"]) t.stat(name);
      t.stat("g");
    },
  },
];
