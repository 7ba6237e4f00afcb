/** Marks of an earlier mount that have lost their meaning, since a lower layer was replaced. */
import { dir, file, opaque, whiteout } from "../../tree/tree.js";
import type { Case } from "../case.js";

/** The kernel's mark on a copied-up object of unknown origin (fs/overlayfs/namei.c). */
const ORIGIN_UNKNOWN = { xattrs: { "trusted.overlay.origin": "" } };

export const marksLeftCases: readonly Case[] = [
  {
    name: "whiteouts in a directory that was merged once are not shown",
    lower: { gone: "a file by now" },
    upper: { gone: dir({ a: whiteout(), b: "b", c: dir({ d: whiteout() }, ORIGIN_UNKNOWN) }, ORIGIN_UNKNOWN) },
    run(t) {
      t.list("gone");
      t.list("gone/c");
      t.stat("gone/a");
      t.rmdir("gone/c");
      t.create("gone/a", "new");
      t.unlink("gone/a");
      t.mkdir("gone/a");
      t.list("gone/a");
      t.rmdir("gone/a");
      t.unlink("gone/b");
      t.rmdir("gone");
      t.list();
    },
  },
  {
    name: "whiteouts in a directory of a lower layer that was merged once",
    top: {
      d: dir({ a: whiteout(), b: dir({ c: whiteout() }, ORIGIN_UNKNOWN) }, ORIGIN_UNKNOWN),
      e: dir({ w: whiteout() }, ORIGIN_UNKNOWN),
    },
    run(t) {
      t.list("d");
      t.list("d/b");
      t.rename("d/b", "e/b");
      t.list("e");
      t.rmdir("e/b");
      t.rmdir("d/b");
      t.rmdir("d");
      t.rmdir("e");
      t.list();
    },
  },
  {
    name: "an origin that leads nowhere gives the object a number of its own",
    lower: { f: "lower", d: dir({ x: "1" }) },
    upper: {
      f: file("upper", ORIGIN_UNKNOWN),
      g: file("upper", { xattrs: { "trusted.overlay.origin": "nonsense" } }),
      d: dir({}, ORIGIN_UNKNOWN),
    },
    run(t) {
      for (const name of ["f", "g", "d"]) t.stat(name);
      t.same("f and g", t.ino("f"), t.ino("g"));
      t.read("f");
      t.list("d");
      t.rename("f", "d/f");
      t.rename("d", "e");
      t.read("e/f");
      t.list("e");
    },
  },
  {
    name: "opaque marks on what hides nothing",
    lower: { d: "a file" },
    upper: { d: opaque({ x: "1" }), e: opaque(), f: file("f", { xattrs: { "trusted.overlay.opaque": "y" } }) },
    run(t) {
      t.list();
      t.list("d");
      t.rename("d", "e");
      t.list("e");
      t.read("f");
      t.append(t.open("f", 1), "+");
      t.unlink("e/x");
      t.rmdir("e");
      t.rename("f", "d");
      t.list();
    },
  },
  {
    name: "callers write the attributes of other overlays and they mean nothing here",
    lower: { d: dir({ x: "1" }), f: "f" },
    run(t) {
      for (const name of ["user.overlay.opaque", "user.overlay.redirect", "user.overlay.whiteout", "user.fuseoverlayfs.opaque"]) {
        t.setxattr("d", name, "y");
        t.setxattr("f", name, "y");
      }
      t.list("d");
      t.read("f");
      t.listxattr("d");
      t.rename("d", "e");
      t.list("e");
      t.listxattr("e");
    },
  },
];
