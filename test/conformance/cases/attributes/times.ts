/** Times, also before 1970 and with their nanoseconds. */
import { O, UTIME } from "@sluice/vfs";
import { dir, file, symlink } from "../../tree/tree.js";
import type { Case } from "../case.js";

export const timeCases: readonly Case[] = [
  {
    name: "times before 1970 and far ahead",
    lower: { f: file("x", { mtime: [-1_000_000, 5], atime: [-2, 7] }), g: "x", d: dir() },
    run(t) {
      t.exactTimes("f");
      t.chmod("f", 0o600);
      t.exactTimes("f");
      for (const sec of [-1, -100_000_000, -2_147_483_648, 2_147_483_648, 4_294_967_296, 10_000_000_000]) {
        t.utimes("g", sec, 1);
        t.exactTimes("g");
        t.utimes("d", sec, 999_999_999);
        t.exactTimes("d");
      }
    },
  },
  {
    name: "utimes of one time alone and of now",
    lower: { f: "x", l: symlink("f") },
    run(t) {
      t.utimes("f", 900_000_000, 1);
      t.utimes("f", 0, UTIME.OMIT);
      t.exactTimes("f");
      t.utimesNow("f");
      t.stat("f");
      t.utimes("l", 900_000_000, 3);
      t.exactTimes("l");
      t.exactTimes("f");
    },
  },
  {
    name: "which changes move mtime",
    lower: { f: "x", g: "x", h: "x", i: "x", d: dir({ x: "1" }) },
    run(t) {
      t.chmod("f", 0o600);
      t.stat("f");
      t.chown("g", 1, 1);
      t.setxattr("g", "user.x", "1");
      t.stat("g");
      const fd = t.open("h", O.RDWR);
      t.fstat(fd);
      t.pwrite(fd, "y", 0);
      t.fstat(fd);
      t.utimes("h", 900_000_000, 1);
      t.pwrite(fd, "y", 0);
      t.fstat(fd);
      t.utimes("h", 900_000_000, 1);
      t.ftruncate(fd, 1);
      t.stat("h");
      t.utimes("h", 900_000_000, 1);
      t.close(t.open("h", O.WRONLY | O.TRUNC));
      t.stat("h");
      t.close(t.open("i", O.RDWR));
      t.stat("i");
      t.chmod("d/x", 0o600);
      t.stat("d");
    },
  },
  {
    name: "times set on an open file stay when it is closed",
    lower: { f: "x" },
    run(t) {
      const fd = t.open("f", O.RDWR);
      t.pwrite(fd, "written", 0);
      t.futimes(fd, 900_000_000);
      t.fstat(fd);
      t.close(fd);
      t.stat("f");
      t.exactTimes("f");
    },
  },
  {
    name: "reading moves no time of a lower file",
    lower: { f: file("x", { atime: [1000, 0] }), d: dir({ x: "1" }, { atime: [1000, 0] }) },
    run(t) {
      t.read("f");
      t.list("d");
      t.exactTimes("f");
      t.exactTimes("d");
    },
  },
];
