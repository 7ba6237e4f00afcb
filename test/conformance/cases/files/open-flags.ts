/** Every combination of open flags on every kind of object, by root and by another user, with the reads and writes that follow. */
import { O } from "@sluice/vfs";
import { charDevice, dir, type Entry, fifo, file, socket, symlink, type Tree, whiteout } from "../../tree/tree.js";
import type { Probe } from "../../probe/probe.js";
import type { Case } from "../case.js";

const ACCESS: Readonly<Record<string, number>> = { r: O.RDONLY, w: O.WRONLY, rw: O.RDWR };
const FLAGS: Readonly<Record<string, number>> = {
  plain: 0,
  trunc: O.TRUNC,
  append: O.APPEND,
  creat: O.CREAT,
  "creat-excl": O.CREAT | O.EXCL,
  "creat-trunc": O.CREAT | O.TRUNC,
  "creat-excl-trunc": O.CREAT | O.EXCL | O.TRUNC,
  "creat-append": O.CREAT | O.APPEND,
  directory: O.DIRECTORY,
  nofollow: O.NOFOLLOW,
  path: O.PATH,
};
const COMBINATIONS = Object.keys(ACCESS).flatMap((access) => Object.keys(FLAGS).map((flags) => ({ access, flags })));

const KINDS: Readonly<Record<string, (name: string) => Entry>> = {
  "a file": () => file("content", { mode: 0o666 }),
  "a private file": () => file("content", { mode: 0o600 }),
  "a read only file": () => file("content", { mode: 0o444 }),
  "a directory": () => dir({ f: "x" }, { mode: 0o777 }),
  "a symlink to a file": (name) => symlink(`../targets/${name}`),
  "a symlink to a directory": () => symlink("../directory"),
  "a dangling symlink": (name) => symlink(`../missing/${name}`),
  "a symlink to itself": (name) => symlink(name),
  "a fifo": () => fifo({ mode: 0o666 }),
  "a socket": () => socket({ mode: 0o666 }),
  "a device": () => charDevice(1, 3, { mode: 0o666 }),
  "a missing name": () => dir(),
  "a removed file": () => file("content", { mode: 0o666 }),
};
const WITHOUT_OBJECT = ["a missing name", "a removed file"];
const USER = { uid: 2, gid: 2 };
const OPEN_TO_ALL = { mode: 0o777 };

function nameOf({ access, flags }: { access: string; flags: string }): string {
  return `${access}-${flags}`;
}

function each(make: (name: string) => Entry): Tree {
  return Object.fromEntries(COMBINATIONS.map((one) => [nameOf(one), make(nameOf(one))]));
}

function openAll(t: Probe): void {
  for (const one of COMBINATIONS) {
    const path = `d/${nameOf(one)}`;
    const fd = t.open(path, (ACCESS[one.access] as number) | (FLAGS[one.flags] as number) | O.NONBLOCK, 0o644);
    if (fd < 0) continue;
    t.fstat(fd);
    t.pread(fd, 20, 0);
    t.write(fd, "WRITTEN");
    t.pread(fd, 20, 0);
    t.close(fd);
    t.stat(path);
  }
}

function cases([what, make]: [string, (name: string) => Entry]): Case[] {
  const tree: Tree = {
    d: dir(what === "a missing name" ? {} : each(make), OPEN_TO_ALL),
    targets: dir(what === "a symlink to a file" ? each(() => file("content", { mode: 0o666 })) : {}, OPEN_TO_ALL),
    directory: dir({ f: "x" }, OPEN_TO_ALL),
    missing: dir({}, OPEN_TO_ALL),
  };
  const removed: Tree = what === "a removed file" ? { d: dir(each(whiteout), OPEN_TO_ALL) } : {};
  return ["lower", "upper"].flatMap((layer) => {
    if (layer === "upper" && WITHOUT_OBJECT.includes(what)) return [];
    const layers = layer === "lower" ? { lower: tree, upper: removed } : { upper: tree };
    return ["root", "another user"].map((who) => ({
      name: `open ${what} of the ${layer} layer with all flags by ${who}`,
      ...layers,
      run: (t: Probe) => (who === "root" ? openAll(t) : t.as(USER, () => openAll(t))),
    }));
  });
}

export const openFlagCases: readonly Case[] = Object.entries(KINDS).flatMap(cases);
