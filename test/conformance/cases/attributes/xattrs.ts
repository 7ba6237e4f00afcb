/** Extended attributes. */
import { XATTR } from "@sluice/vfs";
import { dir, file, symlink } from "../../tree/tree.js";
import type { Case } from "../case.js";

export const xattrCases: readonly Case[] = [
  {
    name: "set get list and remove",
    lower: { f: file("x", { xattrs: { "user.low": "lower" } }), d: dir({}, { xattrs: { "user.low": "lower" } }) },
    run(t) {
      for (const path of ["f", "d"]) {
        t.getxattr(path, "user.low");
        t.getxattr(path, "user.none");
        t.setxattr(path, "user.new", "value");
        t.setxattr(path, "user.new", "other", XATTR.CREATE);
        t.setxattr(path, "user.none", "other", XATTR.REPLACE);
        t.setxattr(path, "user.new", "replaced", XATTR.REPLACE);
        t.setxattr(path, "user.empty", "");
        t.getxattr(path, "user.new");
        t.getxattr(path, "user.empty");
        t.listxattr(path);
        t.removexattr(path, "user.low");
        t.removexattr(path, "user.low");
        t.listxattr(path);
      }
    },
  },
  {
    name: "removing what is not there copies nothing up",
    lower: { f: file("x", { xattrs: { "user.low": "lower" } }), d: dir({}) },
    run(t) {
      for (const path of ["f", "d"]) t.removexattr(path, "user.none");
    },
  },
  {
    name: "sizes are told and ERANGE is given",
    lower: { f: file("x", { xattrs: { "user.a": "0123456789", "user.b": "x" } }) },
    run(t) {
      t.getxattr("f", "user.a", 0);
      t.getxattr("f", "user.a", 5);
      t.getxattr("f", "user.a", 10);
      t.listxattr("f", 0);
      t.listxattr("f", 3);
      t.setxattr("f", "user.big", "v".repeat(3000));
      t.getxattr("f", "user.big");
      t.setxattr("f", "user.huge", "v".repeat(65_536));
      t.setxattr("f", "user.over", "v".repeat(65_537));
      t.setxattr("f", `user.${"n".repeat(250)}`, "x");
      t.setxattr("f", `user.${"n".repeat(251)}`, "x");
      t.setxattr("f", "user.", "x");
      t.setxattr("f", "nospace", "x");
      t.setxattr("f", "strange.name", "x");
      t.listxattr("f");
    },
  },
  {
    name: "namespaces of other users and other types",
    lower: {
      f: file("x", { mode: 0o666, xattrs: { "trusted.t": "secret", "user.u": "open" } }),
      l: symlink("f"),
      d: dir({}, { mode: 0o1777 }),
    },
    run(t) {
      t.setxattr("l", "user.x", "1");
      t.setxattr("l", "trusted.x", "1");
      t.listxattr("l");
      t.as({ uid: 1000, gid: 1000 }, () => {
        t.listxattr("f");
        t.getxattr("f", "trusted.t");
        t.getxattr("f", "user.u");
        t.setxattr("f", "user.mine", "1");
        t.setxattr("f", "trusted.mine", "1");
        t.setxattr("f", "security.mine", "1");
        t.setxattr("d", "user.sticky", "1");
      });
      t.setxattr("f", "security.root", "1");
      t.listxattr("f");
    },
  },
  {
    name: "overlay marks are invisible and a callers own are escaped",
    lower: { d: dir({ a: "1" }), f: file("x", { xattrs: { "trusted.overlay.origin": "junk", "user.keep": "1" } }), e: dir({ x: "1" }) },
    upper: { d: dir({}, { xattrs: { "trusted.overlay.opaque": "n" } }) },
    run(t) {
      t.listxattr("f");
      t.getxattr("f", "trusted.overlay.origin");
      t.getxattr("d", "trusted.overlay.opaque");
      t.rename("e", "moved");
      t.listxattr("moved");
      t.getxattr("moved", "trusted.overlay.redirect");
      t.mkdir("d/new");
      t.listxattr("d/new");
      t.setxattr("d", "trusted.overlay.opaque", "y");
      t.getxattr("d", "trusted.overlay.opaque");
      t.listxattr("d");
      t.list("d");
      t.setxattr("f", "trusted.overlay.custom", "mine");
      t.listxattr("f");
      t.removexattr("f", "trusted.overlay.custom");
      t.setxattr("f", "user.overlay.opaque", "plain");
      t.listxattr("f");
      t.setxattr("d", "trusted.overlay.overlay.opaque", "nested");
      t.getxattr("d", "trusted.overlay.overlay.opaque");
      t.listxattr("d");
    },
  },
  {
    name: "escaped marks in a lower layer are shown unescaped",
    lower: {
      d: dir({ a: "1" }, { xattrs: { "trusted.overlay.overlay.opaque": "y" } }),
      f: file("x", { xattrs: { "trusted.overlay.overlay.custom": "v" } }),
    },
    run(t) {
      t.listxattr("d");
      t.getxattr("d", "trusted.overlay.opaque");
      t.list("d");
      t.chmod("f", 0o600);
      t.listxattr("f");
      t.getxattr("f", "trusted.overlay.custom");
    },
  },
  {
    name: "what is no name in the overlays namespace, and what is too long once escaped",
    lower: { f: "x", d: dir() },
    run(t) {
      const longest = "n".repeat(255 - "trusted.overlay.overlay.".length);
      for (const path of ["f", "d"]) {
        for (const name of ["trusted.overlay.", "trusted.overlay", `trusted.overlay.${longest}`, `trusted.overlay.${longest}n`]) {
          t.setxattr(path, name, "1");
          t.getxattr(path, name);
          t.listxattr(path);
          t.removexattr(path, name);
        }
      }
    },
  },
  {
    name: "attributes by descriptor",
    lower: { f: "x", d: dir() },
    run(t) {
      const fd = t.open("f", 2);
      t.fsetxattr(fd, "user.a", "1");
      t.fgetxattr(fd, "user.a");
      t.getxattr("f", "user.a");
      const directory = t.open("d", 0);
      t.fsetxattr(directory, "user.d", "1");
      t.fgetxattr(directory, "user.d");
    },
  },
  {
    name: "extended inode flags are read and set",
    lower: { low: "1", d: dir() },
    upper: { up: "2" },
    run(t) {
      // FS_IOC_FSGETXATTR and FSSETXATTR: struct fsxattr begins with the flags.
      const flags = (path: string, value: number): void =>
        t.perl(
          `flags ${value} of ${path}`,
          `open(my $f, '<', '${path}') or die $!; my $x = "\\0" x 28; ioctl($f, 0x801c581f, $x) or print "get $! "; print unpack('L', $x), ' ';
          substr($x, 0, 4) = pack('L', ${value}); ioctl($f, 0x401c5820, $x) or print "set $! "; ioctl($f, 0x801c581f, $x); print unpack('L', $x);`,
        );
      const NODUMP = 0x80;
      const IMMUTABLE = 0x8;
      const APPEND = 0x10;
      flags("low", NODUMP);
      flags("up", IMMUTABLE);
      t.open("up", 1);
      t.unlink("up");
      t.rename("up", "d/up");
      flags("up", 0);
      flags("d", APPEND);
      t.create("d/new");
      t.unlink("d/new");
      flags("d", 0);
      t.unlink("d/new");
      t.unlink("up");
    },
  },
];
