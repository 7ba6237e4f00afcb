/** A mount without an upper layer: everything can be read, nothing changed. */
import { O, S } from "@sluice/vfs";
import { dir, file, symlink, whiteout } from "../../tree/tree.js";
import type { Case } from "../case.js";

export const readOnlyCases: readonly Case[] = [
  {
    name: "a mount without an upper layer shows the lower ones",
    readOnly: true,
    lower: { f: "lower", d: dir({ a: "1", gone: "x" }), l: symlink("f") },
    top: { d: dir({ b: "2", gone: whiteout() }) },
    run(t) {
      t.list();
      t.list("d");
      t.read("f");
      t.read("l");
      t.statfs(".");
      t.stat("d/gone");
    },
  },
  {
    name: "a mount without an upper layer refuses every change",
    readOnly: true,
    lower: { f: file("lower", { mode: 0o666 }), d: dir({ a: "1" }, { mode: 0o777 }), e: dir({}, { mode: 0o777 }) },
    run(t) {
      t.create("new");
      t.mkdir("new");
      t.mknod("new", S.IFIFO | 0o644);
      t.symlink("x", "new");
      t.link("f", "new");
      t.unlink("f");
      t.unlink("missing");
      t.rmdir("e");
      t.rmdir("d");
      t.rename("f", "g");
      t.rename("missing", "g");
      t.chmod("f", 0o600);
      t.chown("f", 1, 1);
      t.utimesNow("f");
      t.setxattr("f", "user.x", "1");
      t.removexattr("f", "user.x");
      for (const flags of [O.WRONLY, O.RDWR, O.RDONLY | O.TRUNC, O.CREAT | O.RDONLY, O.CREAT | O.EXCL | O.WRONLY]) t.open("f", flags);
      t.open("d", O.TMPFILE | O.RDWR);
      t.open("new", O.CREAT | O.WRONLY);
      t.as({ uid: 1000, gid: 1000 }, () => {
        t.open("f", O.RDWR);
        t.create("d/new");
        t.chmod("f", 0o600);
      });
      const fd = t.open("f", O.RDONLY);
      t.fchmod(fd, 0o600);
      t.ftruncate(fd, 0);
      t.list();
    },
  },
];
