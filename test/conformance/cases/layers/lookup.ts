/** The merged tree of two lower layers and an upper one. */
import { blockDevice, charDevice, dir, fifo, file, opaque, socket, symlink, whiteout } from "../../tree/tree.js";
import type { Case } from "../case.js";

export const lookupCases: readonly Case[] = [
  {
    name: "the topmost layer's file is shown",
    lower: { a: "lower", b: "lower", c: "lower" },
    top: { a: "top", b: "top" },
    upper: { a: "upper" },
    run(t) {
      t.list();
      for (const name of ["a", "b", "c"]) t.read(name);
    },
  },
  {
    name: "directories of the same name merge over all layers",
    lower: { d: dir({ a: "1", common: "lower", sub: dir({ x: "1" }) }) },
    top: { d: dir({ b: "2", common: "top", sub: dir({ y: "2" }) }, { mode: 0o711 }) },
    upper: { d: dir({ c: "3", sub: dir({ z: "3" }) }, { mode: 0o700 }) },
    run(t) {
      t.list("d");
      t.list("d/sub");
      t.read("d/common");
      t.stat("d");
      t.nlink("d");
      t.stat("d/a");
    },
  },
  {
    name: "a whiteout hides what lies below and is not shown",
    lower: { f: "x", d: dir({ a: "1" }), keep: "k", g: "x" },
    top: { g: whiteout() },
    upper: { f: whiteout(), d: whiteout() },
    run(t) {
      t.list();
      for (const name of ["f", "d", "d/a", "g"]) t.stat(name);
    },
  },
  {
    name: "a whiteout in a middle layer hides the bottom from it down only",
    lower: { d: dir({ a: "1", b: "1" }) },
    top: { d: dir({ a: whiteout(), c: "2" }) },
    upper: { d: dir({ e: "3" }) },
    run(t) {
      t.list("d");
      t.stat("d/a");
    },
  },
  {
    name: "an opaque directory hides the directories below",
    lower: { d: dir({ a: "1", sub: dir({ deep: "1" }) }) },
    upper: { d: opaque({ b: "2" }) },
    run(t) {
      t.list("d");
      t.stat("d/a");
      t.stat("d/sub/deep");
      t.create("d/a", "new");
      t.list("d");
    },
  },
  {
    name: "an opaque directory in a middle layer cuts the bottom off",
    lower: { d: dir({ a: "1" }) },
    top: { d: opaque({ b: "2" }) },
    upper: { d: dir({ c: "3" }) },
    run: (t) => t.list("d"),
  },
  {
    name: "a file hides a directory below and a directory a file",
    lower: { a: dir({ x: "1" }), b: "lower", c: dir({ x: "1" }) },
    top: { a: "top", b: dir({ y: "2" }), c: "file between" },
    upper: { c: dir({ z: "3" }) },
    run(t) {
      t.list();
      t.read("a");
      t.list("b");
      t.list("c");
      t.stat("a/x");
    },
  },
  {
    name: "a redirect left by an earlier mount leads to the lower directory",
    lower: { old: dir({ a: "1", sub: dir({ b: "2" }) }), other: dir({ moved: dir({ x: "1" }) }) },
    upper: {
      old: whiteout(),
      new: dir({ c: "3" }, { xattrs: { "trusted.overlay.redirect": "old" } }),
    },
    run(t) {
      t.list();
      t.list("new");
      t.read("new/sub/b");
      t.rename("new/sub", "sub2");
      t.list("sub2");
    },
  },
  {
    name: "an absolute redirect left by an earlier mount leads from the layers roots",
    lower: { p: dir({ q: dir({ a: "1" }) }) },
    upper: {
      here: dir(
        {},
        { xattrs: { "trusted.overlay.redirect": "/an-absolute-redirect-left-by-an-earlier-mount-leads-from-the-layers-roots/p/q" } },
      ),
      p: dir({ q: whiteout() }),
    },
    run(t) {
      t.list("here");
      t.list("p");
      t.read("here/a");
    },
  },
  {
    name: "what a redirects path meets in a middle layer hides the bottom",
    lower: {
      a: dir({ x: dir({ low: "1" }) }),
      b: dir({ x: dir({ low: "1" }) }),
      c: dir({ x: dir({ low: "1" }) }),
      d: dir({ x: dir({ low: "1" }) }),
    },
    top: { a: opaque({ x: dir({ top: "2" }) }), b: "a file", c: whiteout(), d: dir({ x: dir({ top: "2" }) }) },
    upper: Object.fromEntries(
      // The places themselves are hidden: two directories over one lower directory are no overlay that anybody made.
      ["a", "b", "c", "d"].flatMap((name) => [
        [name, whiteout()],
        [
          `via ${name}`,
          dir({}, { xattrs: { "trusted.overlay.redirect": `/what-a-redirects-path-meets-in-a-middle-layer-hides-the-bottom/${name}/x` } }),
        ],
      ]),
    ),
    run(t) {
      for (const name of ["a", "b", "c", "d"]) t.list(`via ${name}`);
    },
  },
  {
    name: "redirects in lower layers are followed",
    lower: { old: dir({ a: "1", sub: dir({ s: "1" }) }), far: dir({ old: dir({ f: "1" }) }) },
    top: {
      moved: dir(
        { b: "2", submoved: dir({}, { xattrs: { "trusted.overlay.redirect": "sub" } }) },
        { xattrs: { "trusted.overlay.redirect": "old" } },
      ),
      near: dir({}, { xattrs: { "trusted.overlay.redirect": "/redirects-in-lower-layers-are-followed/far/old" } }),
      old: whiteout(),
    },
    upper: { again: dir({}, { xattrs: { "trusted.overlay.redirect": "moved" } }), moved: whiteout() },
    run(t) {
      t.list();
      t.list("again");
      t.list("again/submoved");
      t.list("near");
      t.rename("again/submoved", "sub2");
      t.rename("near", "near2");
      t.list("sub2");
      t.list("near2");
    },
  },
  {
    name: "every type of object is shown from a lower layer",
    lower: {
      file: file("x", { mode: 0o600, uid: 1000, gid: 1001 }),
      link: symlink("nowhere/at all"),
      pipe: fifo({ mode: 0o640 }),
      sock: socket({ mode: 0o755 }),
      null: charDevice(1, 3, { mode: 0o666 }),
      disk: blockDevice(259, 70, { mode: 0o660, gid: 6 }),
      dir: dir({}, { mode: 0o1777 }),
    },
    run(t) {
      t.list();
      for (const name of ["file", "link", "pipe", "sock", "null", "disk", "dir"]) t.stat(name);
      t.readlink("link");
      t.readlink("file");
    },
  },
  {
    name: "a name below a file or a missing name is told apart",
    lower: { f: "x" },
    run(t) {
      t.stat("f/x");
      t.stat("missing/x");
      t.stat("missing");
      t.list("f");
      t.create("f/x");
      t.mkdir("missing/x");
    },
  },
  {
    name: "dot dot leads to the parent in every kind of directory",
    lower: { d: dir({ e: dir({}) }) },
    run(t) {
      t.mkdir("d/new");
      for (const path of ["d", "d/e", "d/new"]) t.same(`${path}/..`, t.ino(`${path}/..`), t.ino(path === "d" ? "." : "d"));
      t.rename("d/e", "e");
      t.same("e/..", t.ino("e/.."), t.ino("."));
    },
  },
];
