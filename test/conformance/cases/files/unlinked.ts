/** Open files that have lost their name. */
import { FALLOC, O } from "@sluice/vfs";
import { dir, file, hardLink } from "../../tree/tree.js";
import type { Probe } from "../../probe/probe.js";
import type { Case } from "../case.js";

async function exercise(t: Probe, fd: number, writable: boolean): Promise<void> {
  t.fstat(fd);
  t.pread(fd, 8, 0);
  t.fchmod(fd, 0o640);
  t.fchown(fd, 3, 4);
  t.futimes(fd, 900_000_000);
  t.fsetxattr(fd, "user.late", "1");
  t.fgetxattr(fd, "user.late");
  if (writable) {
    t.pwrite(fd, "WRITTEN", 2);
    t.ftruncate(fd, 6);
    await t.fallocate(fd, 0, 0, 5000);
    await t.fallocate(fd, FALLOC.KEEP_SIZE | FALLOC.PUNCH_HOLE, 0, 4096);
    t.pwrite(fd, "again", 0);
  }
  await t.fsync(fd);
  t.pread(fd, 8, 0);
  t.fstat(fd);
}

function opened(how: string, flags: number): Case {
  return {
    name: `unlinked files opened ${how}`,
    lower: { low: "lower content", cop: "lower content", d: dir({ x: "deep content" }) },
    upper: { up: "upper content" },
    async run(t) {
      t.chmod("cop", 0o600);
      for (const name of ["low", "cop", "up", "d/x"]) {
        const fd = t.open(name, flags);
        t.unlink(name);
        await exercise(t, fd, flags !== O.RDONLY);
        t.close(fd);
        t.stat(name);
      }
      t.list();
    },
  };
}

export const unlinkedCases: readonly Case[] = [
  {
    name: "unlinked files opened for reading",
    lower: { low: "lower content", cop: "lower content", d: dir({ x: "deep content" }) },
    upper: { up: "upper content" },
    async run(t) {
      t.chmod("cop", 0o600);
      for (const name of ["low", "cop", "up", "d/x"]) {
        const fd = t.open(name, O.RDONLY);
        t.unlink(name);
        if (name === "cop" || name === "up") await exercise(t, fd, false);
        t.pread(fd, 8, 0);
        t.fstat(fd);
        t.close(fd);
        t.stat(name);
      }
      t.list();
    },
  },
  {
    name: "attributes of an unlinked lower file",
    lower: { f: "lower content" },
    run(t) {
      const fd = t.open("f", O.RDONLY);
      t.unlink("f");
      t.fchmod(fd, 0o640);
      t.fsetxattr(fd, "user.late", "1");
      t.pread(fd, 8, 0);
      t.fstat(fd);
    },
  },
  opened("for both", O.RDWR),
  {
    name: "an unlinked reader of a lower file beside a writer",
    lower: { f: "lower" },
    run(t) {
      const reader = t.open("f", O.RDONLY);
      const writer = t.open("f", O.RDWR);
      t.unlink("f");
      t.pwrite(writer, "UPPER", 0);
      t.pread(writer, 8, 0);
      t.fstat(writer);
      t.fstat(reader);
      t.create("f", "new");
      t.pread(writer, 8, 0);
      t.read("f");
      t.close(reader);
      t.close(writer);
    },
  },
  {
    name: "one of two names removed while open",
    lower: { a: "lower", b: hardLink("a") },
    run(t) {
      t.create("x", "upper");
      t.link("x", "y");
      const fd = t.open("x", O.RDWR);
      t.unlink("x");
      t.fstat(fd);
      t.pwrite(fd, "UP", 0);
      t.read("y");
      t.unlink("y");
      t.fstat(fd);
      t.linkFd(fd, "back");
      const low = t.open("a", O.RDONLY);
      t.unlink("a");
      t.pread(low, 8, 0);
      t.read("b");
      t.list();
    },
  },
  {
    name: "a removed directory that is open",
    lower: { d: dir({}), e: dir({ x: "1" }) },
    upper: { u: dir() },
    run(t) {
      for (const name of ["d", "u"]) {
        const fd = t.open(name, O.RDONLY | O.DIRECTORY);
        t.rmdir(name);
        t.perl("fstat", "print -d '.' ? 'd' : 'n'");
        t.fchmod(fd, 0o700);
        t.fstat(fd);
        t.close(fd);
      }
      t.unlink("e/x");
      const fd = t.open("e", O.RDONLY | O.DIRECTORY);
      t.rmdir("e");
      t.mkdir("e");
      t.fstat(fd);
      t.list("e");
    },
  },
  {
    name: "making things in a removed directory",
    lower: { d: dir({}) },
    run(t) {
      t.perl(
        "in a removed cwd",
        "mkdir 'c'; chdir 'c'; rmdir '../c'; open(F, '>', 'x') or print \"$!\"; mkdir('y') or print \" $!\"; opendir(D, '.') or print \" $!\"; print ' ', join(',', readdir D);",
      );
      t.perl(
        "in a removed lower cwd",
        "chdir 'd'; rmdir '../d'; open(F, '>', 'x') or print \"$!\"; mkdir('y') or print \" $!\"; rename('../a', 'b') or print \" $!\"",
      );
    },
  },
  {
    name: "a file that is open lost each name but one that nobody looked at",
    lower: { low: "lower", "low two": hardLink("low") },
    upper: { up: "upper content", "up two": hardLink("up") },
    run(t) {
      for (const name of ["up", "low"]) {
        const fd = t.open(name, O.RDWR);
        t.unlink(name);
        const other = t.open(`${name} two`, O.RDWR);
        t.ftruncate(other, 3);
        t.close(other);
        t.fstat(fd);
        t.pread(fd, 8, 0);
        t.pwrite(fd, "more", 2);
        t.read(`${name} two`);
        t.link(`${name} two`, name);
        t.fstat(fd);
        t.unlink(`${name} two`);
        t.unlink(name);
        t.fstat(fd);
        t.close(fd);
      }
    },
  },
  {
    name: "an unlinked file mapped into memory",
    lower: { f: file("mapped lower file ") },
    run(t) {
      const fd = t.open("f", O.RDWR);
      t.unlink("f");
      t.mapped(fd, 8, true, (bytes) => {
        t.note("mapped", bytes.toString("latin1", 0, 6));
        bytes.write("MAPPED");
      });
      t.pread(fd, 8, 0);
    },
  },
];
