/** A change of a lower object first copies it up, with everything that belongs to it. */
import { O, S } from "@sluice/vfs";
import { charDevice, dir, fifo, file, hardLink, socket, sparse, symlink } from "../../tree/tree.js";
import type { Probe } from "../../probe/probe.js";
import type { Case } from "../case.js";

const OLD = { mtime: [900_000_000, 987_654_321], atime: [800_000_000, 1] } as const;
/** user_obj rw, user 1000 r, group_obj r, mask rw, other r: the kernel's binary form. */
const ACL = Buffer.from("0200000001000600ffffffff02000400e803000004000400ffffffff10000600ffffffff20000400ffffffff", "hex").toString(
  "latin1",
);
const RICH = {
  mode: 0o664,
  uid: 1000,
  gid: 1001,
  ...OLD,
  xattrs: { "user.one": "1", "user.empty": "", "trusted.two": "2", "system.posix_acl_access": ACL },
};

const TRIGGERS: Readonly<Record<string, (t: Probe) => void>> = {
  chmod: (t) => t.chmod("d/f", 0o600),
  chown: (t) => t.chown("d/f", 5, 6),
  utimes: (t) => t.utimes("d/f", 950_000_000, 42),
  setxattr: (t) => t.setxattr("d/f", "user.new", "n"),
  removexattr: (t) => t.removexattr("d/f", "user.one"),
  "truncate by path": (t) => t.perl("truncate", "truncate($ARGV[0], 3) or print $!", "d/f"),
  "open for writing": (t) => t.close(t.open("d/f", O.WRONLY)),
  "open for both": (t) => t.close(t.open("d/f", O.RDWR)),
  "open to truncate": (t) => t.close(t.open("d/f", O.WRONLY | O.TRUNC)),
  "open read only to truncate": (t) => t.close(t.open("d/f", O.RDONLY | O.TRUNC)),
  "open to append": (t) => {
    const fd = t.open("d/f", O.WRONLY | O.APPEND);
    t.write(fd, "more");
    t.close(fd);
  },
  link: (t) => t.link("d/f", "d/g"),
  rename: (t) => t.rename("d/f", "d/g"),
  "chmod of a directory": (t) => t.chmod("d", 0o700),
  "setxattr of a directory": (t) => t.setxattr("d", "user.new", "n"),
  "utimes of a directory": (t) => t.utimes("d", 950_000_000, 42),
};

function triggeredBy([how, trigger]: [string, (t: Probe) => void]): Case {
  return {
    name: `copy up by ${how}`,
    lower: {
      d: dir({ f: file("content of the file", RICH), other: "x" }, { ...OLD, mode: 0o775, uid: 7, gid: 8, xattrs: { "user.dir": "d" } }),
    },
    run(t) {
      trigger(t);
      for (const path of ["d", "d/f", "d/g"]) {
        t.stat(path);
        t.listxattr(path);
      }
      t.exactTimes("d");
      t.getxattr("d/f", "system.posix_acl_access");
      t.read("d/f");
    },
  };
}

export const copyUpCases: readonly Case[] = [
  ...Object.entries(TRIGGERS).map(triggeredBy),
  {
    name: "copy up of special files symlinks and devices",
    lower: {
      p: fifo({ mode: 0o622, uid: 9, ...OLD }),
      s: socket({ mode: 0o711, ...OLD }),
      c: charDevice(1, 3, { mode: 0o640, ...OLD, xattrs: { "trusted.t": "1" } }),
      l: symlink("where ever", { uid: 1000, gid: 1000, ...OLD }),
    },
    run(t) {
      for (const name of ["p", "s", "c", "l"]) {
        t.chown(name, 3, 4);
        t.stat(name);
        t.utimes(name, 850_000_000, 7);
        t.exactTimes(name);
        if (name !== "l") t.chmod(name, 0o600);
      }
      t.readlink("l");
      t.listxattr("c");
      t.setxattr("c", "trusted.u", "2");
      t.setxattr("l", "trusted.l", "3");
      t.setxattr("p", "user.u", "2");
      t.listxattr("l");
    },
  },
  {
    name: "copy up keeps holes",
    lower: {
      f: sparse(8 << 20, { 0: "start", [4 << 20]: "middle", [(8 << 20) - 3]: "end" }, OLD),
      holes: sparse(3 << 20, {}),
      small: sparse(65_536, { 4096: "x" }),
    },
    run(t) {
      for (const name of ["f", "holes", "small"]) {
        t.chmod(name, 0o600);
        t.stat(name);
        t.isSparse(name);
      }
    },
  },
  {
    name: "copy up of a large file",
    lower: { f: sparse(20 << 20, Object.fromEntries(Array.from({ length: 40 }, (_, i) => [i * 500_000, "x".repeat(1000 + i)]))) },
    run(t) {
      const fd = t.open("f", O.RDWR);
      t.pread(fd, 10, 500_000);
      t.pwrite(fd, "end", 19 << 20);
      t.close(fd);
      t.stat("f");
    },
  },
  {
    name: "copy up of an empty file and one of exact blocks",
    lower: { empty: file("", { mode: 0o400 }), block: file("b".repeat(4096)), odd: file("o".repeat(4097)) },
    run(t) {
      for (const name of ["empty", "block", "odd"]) {
        t.close(t.open(name, O.RDWR));
        t.stat(name);
      }
    },
  },
  {
    name: "copy up makes all parents with their attributes",
    lower: {
      a: dir(
        { b: dir({ c: dir({ f: "deep" }, { mode: 0o1777, ...OLD }) }, { uid: 1000, mode: 0o2755, ...OLD }) },
        { gid: 50, xattrs: { "user.a": "a" }, ...OLD },
      ),
    },
    run(t) {
      t.chmod("a/b/c/f", 0o600);
      for (const path of ["a", "a/b", "a/b/c", "a/b/c/f"]) {
        t.stat(path);
        t.exactTimes(path);
      }
      t.listxattr("a");
    },
  },
  {
    name: "copy up of suid files and files with capabilities",
    lower: {
      s: file("x", { mode: 0o6755, uid: 1000, gid: 1000 }),
      c: file("x", {
        mode: 0o755,
        xattrs: { "security.capability": Buffer.from("0100000200040000000000000000000000000000", "hex").toString("latin1") },
      }),
    },
    run(t) {
      t.utimes("s", 950_000_000);
      t.setxattr("c", "user.x", "1");
      t.stat("s");
      t.listxattr("c");
      t.getxattr("c", "security.capability");
      t.rename("c", "cc");
      t.getxattr("cc", "security.capability");
    },
  },
  {
    name: "a refused change copies nothing up",
    lower: { d: dir({ f: file("x", { mode: 0o600 }), l: hardLink("d/f") }, { mode: 0o755 }) },
    run(t) {
      t.as({ uid: 1000, gid: 1000 }, () => {
        t.chmod("d/f", 0o777);
        t.chown("d/f", 1000, 1000);
        t.open("d/f", O.RDWR);
        t.open("d/f", O.WRONLY | O.TRUNC);
        t.unlink("d/f");
        t.rename("d/f", "d/g");
        t.setxattr("d/f", "user.x", "1");
        t.create("d/new");
        t.utimesNow("d/f");
      });
      t.setxattr("d/f", "user.x", "1", 2);
      t.list("d");
    },
  },
  {
    name: "a read only open does not copy up",
    lower: { f: "x", d: dir({ g: "y" }) },
    run(t) {
      t.read("f");
      t.list("d");
      t.close(t.open("d/g", O.RDONLY | O.CREAT));
    },
  },
  {
    name: "mknod of a regular file below a lower directory",
    lower: { d: dir({}, { mode: 0o2770, gid: 77, ...OLD }) },
    run(t) {
      t.mknod("d/f", S.IFREG | 0o640);
      t.stat("d/f");
      t.stat("d");
    },
  },
];
