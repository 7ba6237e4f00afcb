/** An object keeps its inode number through every operation, and listing and stat agree on it. */
import { DirentCursor, native, parseDirents } from "@sluice/native";
import { AT, type FileOffset, O, SEEK } from "@sluice/vfs";
import { dir, fifo, symlink } from "../../tree/tree.js";
import type { Probe } from "../../probe/probe.js";
import type { Case } from "../case.js";

/** Names whose number in the listing is not that of stat. */
function mismatches(t: Probe, path: string): string[] {
  const fd = native.openat(AT.FDCWD, t.at(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  const bytes = Buffer.alloc(65_536);
  const wrong: string[] = [];
  for (let length = native.getdents64(fd, bytes); length > 0; length = native.getdents64(fd, bytes)) {
    parseDirents(bytes, length, (name, lo, hi) => {
      if (name !== ".." && `${hi}:${lo}` !== t.ino(name === "." ? path : `${path}/${name}`)) wrong.push(name);
    });
  }
  native.close(fd);
  return wrong.sort();
}

interface Row {
  name: string;
  ino: string;
  /** The position of the next entry. */
  next: FileOffset;
}

function rowsFrom(fd: number): Row[] {
  const bytes = Buffer.alloc(65_536);
  const records = new DirentCursor(bytes);
  const rows: Row[] = [];
  records.begin(Math.max(0, native.getdents64(fd, bytes)));
  while (records.next()) rows.push({ name: records.name, ino: `${records.inoHi}:${records.inoLo}`, next: records.offset });
  return rows;
}

/**
 * Reads a directory, removes a name in the middle, and reads again from its place. Tells whether the number changed, and
 * empties the directory.
 */
function readAgainWithout(t: Probe, path: string): void {
  const fd = native.openat(AT.FDCWD, t.at(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  const before = rowsFrom(fd);
  const row = before.findIndex(({ name }, index) => index >= before.length / 2 && !name.startsWith("."));
  const gone = before[row];
  t.note("removed", native.unlinkat(AT.FDCWD, t.at(`${path}/${gone?.name}`), 0));
  const readAgain = (): string | undefined => {
    native.lseek(fd, before[row - 1]?.next ?? 0, SEEK.SET);
    return rowsFrom(fd).find(({ name }) => name === gone?.name)?.ino;
  };
  // A list with attributes (FUSE_READDIRPLUS) leaves out removed names; the kernel requests one after a look-up.
  t.note(
    "numbers",
    [readAgain(), readAgain()].filter((ino) => ino !== undefined && ino !== gone?.ino),
  );
  native.close(fd);
  for (const { name } of before) native.unlinkat(AT.FDCWD, t.at(`${path}/${name}`), 0);
}

export const inodeCases: readonly Case[] = [
  {
    name: "st_ino stays over copy up and rename",
    lower: { f: "1", l: symlink("x"), p: fifo(), d: dir({ x: "1" }) },
    run(t) {
      const before = ["f", "l", "p", "d", "d/x"].map((path) => t.ino(path));
      t.chmod("f", 0o600);
      t.chown("l", 1, 1);
      t.chmod("p", 0o600);
      t.chmod("d", 0o700);
      t.chmod("d/x", 0o600);
      ["f", "l", "p", "d", "d/x"].forEach((path, i) => t.same(`${path} copied up`, before[i] as string, t.ino(path)));
      for (const name of ["f", "l", "p", "d"]) t.rename(name, `${name}2`);
      ["f2", "l2", "p2", "d2", "d2/x"].forEach((path, i) => t.same(`${path} renamed`, before[i] as string, t.ino(path)));
    },
  },
  {
    name: "st_ino stays over a copy up by opening and while open",
    lower: { f: "1" },
    run(t) {
      const reader = t.open("f", O.RDONLY);
      const before = t.ino("f");
      const writer = t.open("f", O.RDWR);
      t.same("reader", before, t.fino(reader));
      t.same("writer", before, t.fino(writer));
      t.same("name", before, t.ino("f"));
      t.unlink("f");
      t.same("unlinked", before, t.fino(writer));
    },
  },
  {
    name: "d_ino equals st_ino in every kind of directory",
    lower: { low: dir({ a: "1", s: dir() }), mer: dir({ a: "1", b: "1", s: dir({ q: "1" }) }) },
    top: { mer: dir({ m: "2" }) },
    upper: { up: dir({ a: "1" }), mer: dir({ b: "2", c: "3", s: dir() }) },
    run(t) {
      for (const path of [".", "low", "mer", "up"]) t.note(path, mismatches(t, path));
      t.chmod("mer/a", 0o600);
      t.chmod("low/a", 0o600);
      t.rename("mer/a", "up/moved");
      t.rename("mer/s", "up/s");
      t.create("low/new");
      for (const path of [".", "low", "mer", "up", "up/s"]) t.note(`${path} after changes`, mismatches(t, path));
    },
  },
  {
    name: "d_ino equals st_ino of a directory moved on into a new one",
    lower: { d: dir({ x: "1" }), e: dir({ x: "1" }) },
    run(t) {
      t.mkdir("new");
      t.mkdir("newer");
      t.rename("d", "new/d");
      t.rename("new/d", "newer/d");
      t.note("moved twice", mismatches(t, "newer"));
      t.mkdir("newest");
      t.rename("e", "f");
      t.rename("f", "newest/f");
      t.note("renamed, then moved", mismatches(t, "newest"));
    },
  },
  {
    name: "a merged listing that goes on keeps the number of a name that is gone",
    lower: { mer: dir({ a: "1", b: "1", c: "1", d: "1", e: "1", f: "1", g: "1", h: "1" }) },
    run(t) {
      for (const name of "abcdefgh") t.chmod(`mer/${name}`, 0o600);
      readAgainWithout(t, "mer");
    },
  },
  {
    name: "different objects have different numbers",
    lower: { a: "1", b: "1", d: dir({ c: "1" }) },
    run(t) {
      t.create("x");
      t.chmod("b", 0o600);
      t.mkdir("n");
      const numbers = ["a", "b", "d", "d/c", "x", "n", "."].map((path) => t.ino(path));
      t.note("distinct", new Set(numbers).size);
    },
  },
  {
    name: "a new file in a removed ones place is another one",
    lower: { f: "1" },
    run(t) {
      const reader = t.open("f", O.RDONLY);
      const before = t.ino("f");
      t.unlink("f");
      t.create("f", "2");
      t.same("new one", before, t.ino("f"));
      t.same("old one", before, t.fino(reader));
    },
  },
];
