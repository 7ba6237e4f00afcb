/** Reading and writing: several descriptors, appending, mappings, sizes. */
import { O } from "@sluice/vfs";
import { file } from "../../tree/tree.js";
import type { Case } from "../case.js";

export const dataCases: readonly Case[] = [
  {
    name: "two descriptors see each others writes",
    lower: { f: "lower content" },
    run(t) {
      const one = t.open("f", O.RDWR);
      const two = t.open("f", O.RDWR);
      t.pwrite(one, "ONE", 0);
      t.pread(two, 20, 0);
      t.pwrite(two, "TWO", 6);
      t.pread(one, 20, 0);
      t.ftruncate(one, 4);
      t.pread(two, 20, 0);
      t.fstat(two);
      t.pwrite(two, "end", 100);
      t.fstat(one);
    },
  },
  {
    name: "a reader opened before a copy up reads on",
    lower: { f: "lower content" },
    run(t) {
      const reader = t.open("f", O.RDONLY);
      t.pread(reader, 5, 0);
      const writer = t.open("f", O.RDWR);
      t.pwrite(writer, "UPPER", 0);
      t.pread(writer, 20, 0);
      t.read("f");
      t.pread(reader, 5, 6);
      t.fstat(writer);
      t.close(reader);
      t.close(writer);
      t.read("f");
    },
  },
  {
    name: "a reader opened before a copy up sees what is written",
    lower: { f: "lower content" },
    run(t) {
      const reader = t.open("f", O.RDONLY);
      const writer = t.open("f", O.RDWR);
      t.pwrite(writer, "UPPER", 0);
      t.pread(reader, 20, 0);
      t.ftruncate(writer, 3);
      t.pread(reader, 20, 0);
      t.fstat(reader);
    },
  },
  {
    name: "a reader from before a copy up is opened again by its descriptor",
    lower: { f: "lower content" },
    run(t) {
      const reader = t.open("f", O.RDONLY);
      const writer = t.open("f", O.RDWR);
      t.pwrite(writer, "UPPER", 0);
      t.pread(t.reopen(reader, O.RDONLY), 20, 0);
      t.reopen(reader, O.RDWR);
      t.pread(t.reopen(writer, O.RDWR), 20, 0);
    },
  },
  {
    name: "O_APPEND from two descriptors",
    lower: { f: "start " },
    run(t) {
      const one = t.open("f", O.WRONLY | O.APPEND);
      const two = t.open("f", O.RDWR | O.APPEND);
      for (const text of ["1 ", "2 ", "3 "]) {
        t.write(one, `a${text}`);
        t.write(two, `b${text}`);
      }
      t.pread(two, 100, 0);
      t.pwrite(two, "at the end", 0);
      const plain = t.open("f", O.RDWR);
      t.append(plain, "appended");
      t.read("f");
    },
  },
  {
    name: "a shared mapping and the file agree",
    lower: { f: file("mapped content of a lower file".repeat(300)) },
    run(t) {
      const fd = t.open("f", O.RDWR);
      t.mapped(fd, 9000, true, (bytes) => {
        bytes.write("MAPPED");
        bytes.write("FAR", 8000);
        t.pread(fd, 10, 0);
        t.pwrite(fd, "written", 20);
        t.note("seen in the mapping", bytes.toString("latin1", 20, 27));
      });
      t.pread(fd, 10, 7998);
      t.close(fd);
      t.read("f");
      t.stat("f");
    },
  },
  {
    name: "a read only mapping of a lower file stays readable",
    lower: { f: file("mapped lower content") },
    run(t) {
      const fd = t.open("f", O.RDONLY);
      t.mapped(fd, 20, false, (bytes) => {
        t.note("mapped", bytes.toString("latin1", 0, 6));
        t.unlink("f");
        t.note("mapped after unlink", bytes.toString("latin1", 7, 12));
      });
    },
  },
  {
    name: "reads and writes at odd places",
    lower: { f: "0123456789" },
    run(t) {
      const fd = t.open("f", O.RDWR);
      t.pread(fd, 0, 0);
      t.pread(fd, 5, 10);
      t.pread(fd, 5, 8);
      t.pread(fd, 5, 1000);
      t.pwrite(fd, "", 0);
      t.pwrite(fd, "x", 8191);
      t.fstat(fd);
      t.pread(fd, 3, 8189);
      t.pread(fd, 4, -1);
      const reader = t.open("f", O.RDONLY);
      t.pwrite(reader, "no", 0);
      t.ftruncate(reader, 0);
      const writer = t.open("f", O.WRONLY);
      t.pread(writer, 3, 0);
      t.ftruncate(writer, -1);
    },
  },
  {
    name: "open with O_TRUNC leaves other descriptors at the new size",
    lower: { f: "long lower content" },
    run(t) {
      const fd = t.open("f", O.RDWR);
      t.close(t.open("f", O.RDWR | O.TRUNC));
      t.fstat(fd);
      t.pread(fd, 5, 0);
      t.pwrite(fd, "new", 0);
      t.read("f");
      t.close(t.open("f", O.RDONLY | O.TRUNC));
      t.stat("f");
    },
  },
  {
    name: "fsync fdatasync and syncfs succeed",
    lower: { f: "x" },
    async run(t) {
      const reader = t.open("f", O.RDONLY);
      await t.fsync(reader);
      const fd = t.open("f", O.RDWR);
      t.pwrite(fd, "y", 0);
      await t.fsync(fd);
      await t.fsync(fd, true);
      await t.syncfs(fd);
      const dir = t.open(".", O.RDONLY | O.DIRECTORY);
      await t.fsync(dir);
    },
  },
  {
    name: "locks exclude other processes",
    lower: { f: "x", g: "y" },
    run(t) {
      const fd = t.open("f", O.RDWR);
      t.flock(fd, 6);
      t.perl("flock of a locked file", "open(F, '+<', 'f') or die; print flock(F, 6) ? 'got' : $!");
      t.flock(fd, 8);
      t.perl("flock of a free file", "open(F, '+<', 'f') or die; print flock(F, 6) ? 'got' : $!");
      t.perl(
        "fcntl locks",
        "use Fcntl; open(F, '+<', 'g') or die; my $l = pack('s s x4 q q l x4', 1, 0, 0, 10, 0); fcntl(F, F_SETLK, $l) or print \"$!\"; " +
          "my $p = fork; if (!$p) { open(G, '+<', 'g'); print fcntl(G, F_SETLK, $l) ? 'got' : $!; exit } waitpid($p, 0); " +
          "my $far = pack('s s x4 q q l x4', 1, 0, 20, 10, 0); $p = fork; if (!$p) { open(G, '+<', 'g'); print fcntl(G, F_SETLK, $far) ? ' got' : $!; exit } waitpid($p, 0);",
      );
    },
  },
  {
    name: "a file of several megabytes written and read back",
    run(t) {
      const fd = t.open("f", O.CREAT | O.RDWR);
      for (let i = 0; i < 40; i++) t.pwrite(fd, String.fromCharCode(65 + (i % 26)).repeat(100_003), i * 100_003);
      t.pread(fd, 20, 100_000);
      t.pread(fd, 20, 3_900_100);
      t.fstat(fd);
    },
  },
  {
    name: "programs run from the mount",
    lower: { run: file("#!/bin/sh\necho ran\n", { mode: 0o755 }), no: file("#!/bin/sh\necho ran\n") },
    run(t) {
      t.perl("execute", "system('./run') == 0 or print 'failed'; system('./no') == 0 or print 'refused'");
    },
  },
];
