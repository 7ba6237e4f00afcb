/** Removing objects, in every state they can be in. */
import { charDevice, dir, fifo, opaque, symlink, whiteout } from "../../tree/tree.js";
import type { Case } from "../case.js";

export const removeCases: readonly Case[] = [
  {
    name: "unlink in every state of the object",
    lower: { low: "1", both: "1", link: symlink("x"), pipe: fifo(), dev: charDevice(1, 3), d: dir({ low: "1", both: "1" }) },
    upper: { both: "2", up: "3", d: dir({ both: "2", up: "3" }) },
    run(t) {
      for (const name of ["low", "both", "up", "link", "pipe", "dev", "d/low", "d/both", "d/up"]) {
        t.unlink(name);
        t.stat(name);
        t.unlink(name);
      }
      t.list();
      t.list("d");
      t.create("low", "again");
      t.read("low");
      t.unlink("low");
      t.list();
    },
  },
  {
    name: "rmdir in every state of the directory",
    lower: { low: dir(), mer: dir(), full: dir({ a: "1" }), op: dir({ a: "1" }), wh: dir({ a: "1", s: dir({}) }) },
    top: { mer: dir() },
    upper: { mer: dir(), op: opaque(), up: dir(), wh: dir({ a: whiteout(), s: whiteout() }) },
    run(t) {
      for (const name of ["low", "mer", "full", "op", "up", "wh"]) {
        t.rmdir(name);
        t.stat(name);
      }
      t.list();
      for (const name of ["low", "mer", "op", "up", "wh"]) {
        t.mkdir(name);
        t.list(name);
      }
    },
  },
  {
    name: "rmdir of what is not empty in any layer",
    lower: { a: dir({ x: "1" }), b: dir({}), c: dir({ x: "1" }) },
    top: { b: dir({ x: "1" }) },
    upper: { c: dir({ y: "1" }) },
    run(t) {
      for (const name of ["a", "b", "c"]) t.rmdir(name);
      t.unlink("c/y");
      t.rmdir("c");
      t.unlink("c/x");
      t.rmdir("c");
      t.list();
    },
  },
  {
    name: "the wrong call for the type",
    lower: { f: "x", d: dir(), l: symlink("d") },
    upper: { g: "x", e: dir() },
    run(t) {
      t.rmdir("f");
      t.rmdir("g");
      t.unlink("d");
      t.unlink("e");
      t.rmdir("l");
      t.rmdir("missing");
      t.unlink("missing");
      t.rmdir("d/.");
      t.rmdir("d/..");
      t.list();
    },
  },
  {
    name: "a whole lower tree is removed and made again",
    lower: { d: dir({ a: "1", s: dir({ b: "2", t: dir({ c: "3" }) }) }) },
    run(t) {
      t.unlink("d/s/t/c");
      t.rmdir("d/s/t");
      t.unlink("d/s/b");
      t.rmdir("d/s");
      t.unlink("d/a");
      t.rmdir("d");
      t.mkdir("d");
      t.mkdir("d/s");
      t.create("d/s/b", "new");
      t.list("d");
      t.list("d/s");
    },
  },
  {
    name: "a parents mtime changes when a name is removed",
    lower: { d: dir({ a: "1" }), e: dir({ a: dir() }), f: dir({ a: "1" }) },
    run(t) {
      t.unlink("d/a");
      t.rmdir("e/a");
      for (const name of ["d", "e", "f"]) t.stat(name);
    },
  },
  {
    name: "an upper object without a lower one leaves no whiteout",
    lower: { d: dir({ other: "x" }) },
    run(t) {
      t.create("d/f");
      t.unlink("d/f");
      t.mkdir("d/s");
      t.rmdir("d/s");
      t.list("d");
    },
  },
];
