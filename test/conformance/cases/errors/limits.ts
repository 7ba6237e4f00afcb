/** Arguments out of bounds, and calls that do not fit their object. */
import { O } from "@sluice/vfs";
import { dir, fifo, file, symlink } from "../../tree/tree.js";
import type { Probe } from "../../probe/probe.js";
import type { Case } from "../case.js";

const OBJECTS = { low: file("content", { mode: 0o666 }), d: dir({ x: "1" }), l: symlink("low"), p: fifo() };
const EXABYTES = 1n << 62n;

function truncations(t: Probe, path: string): void {
  const sizes = "-1, 0, 9223372036854775807, 4611686018427387904";
  t.perl(`truncate ${path}`, `for (${sizes}) { print truncate("${path}", $_) ? "ok" : $! + 0, " ", -s "${path}", "\\n" }`);
}

export const limitCases: readonly Case[] = [
  {
    name: "sizes that no file can have",
    lower: OBJECTS,
    async run(t) {
      for (const path of ["low", "d", "l", "p", "missing"]) truncations(t, path);
      const fd = t.open("low", O.RDWR);
      t.ftruncate(fd, -1);
      t.ftruncate(fd, EXABYTES);
      t.pwrite(fd, "x", EXABYTES);
      await t.fallocate(fd, 0, -1, 10);
      await t.fallocate(fd, 0, 0, 0);
      await t.fallocate(fd, 0, EXABYTES, EXABYTES);
      await t.fallocate(fd, 0x80, 0, 10);
      await t.fallocate(fd, 2, 0, 4096);
      t.fstat(fd);
      t.close(fd);
    },
  },
  {
    name: "calls on descriptors that are not open for them",
    lower: OBJECTS,
    async run(t) {
      const reader = t.open("low", O.RDONLY);
      const writer = t.open("low", O.WRONLY);
      const path = t.open("low", O.PATH);
      const directory = t.open("d", O.RDONLY);
      for (const fd of [reader, path, directory]) {
        t.write(fd, "x");
        t.ftruncate(fd, 1);
        await t.fallocate(fd, 0, 0, 10);
      }
      for (const fd of [writer, path, directory]) t.pread(fd, 4, 0);
      t.mapped(writer, 4096, false, () => undefined);
      t.mapped(reader, 4096, true, () => undefined);
      t.mapped(directory, 4096, false, () => undefined);
      t.fchmod(path, 0o600);
      t.flock(path, 1);
      await t.fsync(path);
      await t.fsync(directory);
      await t.copyRange(reader, 0, { fd: reader, at: 0 }, 4);
      await t.copyRange(writer, 0, { fd: writer, at: 100 }, 4);
      await t.copyRange(directory, 0, { fd: writer, at: 0 }, 4);
      for (const fd of [reader, writer, path, directory]) t.close(fd);
      t.read("low");
    },
  },
  {
    name: "seeking beyond the ends",
    lower: OBJECTS,
    run(t) {
      const fd = t.open("low", O.RDWR);
      t.seek(fd, -1, 0);
      t.seek(fd, 100, 0);
      t.write(fd, "far");
      t.seek(fd, 0, 2);
      t.seek(fd, -200, 2);
      t.seek(fd, 7, 9);
      t.seek(fd, 1000, 3);
      t.seek(fd, 1000, 4);
      t.seek(fd, -1, 3);
      t.close(fd);
      t.stat("low");
    },
  },
  {
    name: "extended attributes out of bounds",
    lower: OBJECTS,
    run(t) {
      for (const path of ["low", "d", "l", "p"]) {
        t.setxattr(path, "user.x", "1");
        t.setxattr(path, "trusted.x", "1");
        t.setxattr(path, "", "1");
        t.setxattr(path, "user.", "1");
        t.setxattr(path, "nothing.x", "1");
        t.setxattr(path, "x", "1");
        t.setxattr(path, `user.${"n".repeat(250)}`, "1");
        t.setxattr(path, `user.${"n".repeat(251)}`, "1");
        t.setxattr(path, "user.long", "v".repeat(65_537));
        t.setxattr(path, "user.both", "1", 3);
        t.setxattr(path, "user.other", "1", 4);
        t.setxattr(path, "user.empty", "");
        t.getxattr(path, "user.empty");
        t.getxattr(path, "");
        t.removexattr(path, "");
        t.removexattr(path, "system.posix_acl_access");
        t.setxattr(path, "system.posix_acl_access", "short");
        t.setxattr(path, "system.posix_acl_default", "\u0002\0\0\0");
        t.listxattr(path);
      }
    },
  },
  {
    name: "flags that no call knows",
    lower: OBJECTS,
    run(t) {
      t.rename("low", "x", 8);
      t.rename("low", "x", 3);
      t.link("low", "x", 1);
      t.link("low", "x", 0x1000);
      t.close(t.open("low", O.DIRECTORY | O.CREAT));
      t.close(t.open("x", O.DIRECTORY | O.CREAT));
      t.close(t.open("d", O.TMPFILE | O.RDONLY));
      t.close(t.open("low", O.TMPFILE | O.RDWR));
      t.close(t.open("d", O.TMPFILE | O.RDWR | O.EXCL));
      t.close(t.open("low", O.RDONLY | O.EXCL));
      t.close(t.open("low", 3));
      t.close(t.open("l", O.PATH | O.NOFOLLOW));
      t.close(t.open("l", O.NOFOLLOW));
      t.chmod("low", 0o177_777);
      t.stat("low");
      t.list();
    },
  },
  {
    name: "a descriptors flags change while it is open",
    lower: { f: "0123456789" },
    run(t) {
      t.perl(
        "O_APPEND comes and goes",
        `use Fcntl; sysopen(my $f, "f", O_RDWR) or die $!; sysseek($f, 2, 0); syswrite($f, "ab"); fcntl($f, F_SETFL, O_APPEND) or print $!; sysseek($f, 0, 0); syswrite($f, "end");
        fcntl($f, F_SETFL, 0) or print $!; sysseek($f, 0, 0); syswrite($f, "S"); print fcntl($f, F_GETFL, 0) & ~0100000; open(my $g, "<", "f"); print " ", <$g>;`,
      );
      t.stat("f");
    },
  },
];
