/** The times that each call updates: of the object, and of the directory or directories that hold its name. */
import { native } from "@sluice/native";
import { AT, Attr, O, RENAME, S } from "@sluice/vfs";
import { dir, type Entry, fifo, file, symlink, type Tree } from "../../tree/tree.js";
import type { Probe } from "../../probe/probe.js";
import type { Case } from "../case.js";

/** Longer than the resolution of any file system's clock. */
const TICK_MS = 12;
const KINDS: Readonly<Record<string, () => Entry>> = {
  file: () => file("content", { uid: 1000 }),
  directory: () => dir({}, { uid: 1000 }),
  pipe: () => fifo({ uid: 1000 }),
  link: () => symlink("nowhere", { uid: 1000 }),
};

function objects(): Tree {
  return Object.fromEntries(Object.entries(KINDS).map(([name, make]) => [name, make()]));
}

function timesOf(t: Probe, path: string): { mtime: string; ctime: string } | undefined {
  const attr = new Attr();
  if (native.statx(AT.FDCWD, t.at(path), AT.SYMLINK_NOFOLLOW, attr.words) < 0) return undefined;
  return { mtime: `${attr.mtimeSec}.${attr.mtimeNsec}`, ctime: `${attr.ctimeSec}.${attr.ctimeNsec}` };
}

/**
 * Records which times of the first path `act` updates, and whether it updates the modification time of the others. (Not their
 * change time: a copy-up of their entries updates that, and the kernel may have an older value cached.)
 */
function moved(t: Probe, paths: readonly string[], act: () => void): void {
  const before = paths.map((path) => timesOf(t, path));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TICK_MS);
  act();
  const after = paths.map((path) => timesOf(t, path));
  const told = paths.map((path, i) => {
    const [old, now] = [before[i], after[i]];
    if (old === undefined || now === undefined) return `${path}: ${now === undefined ? "gone" : "new"}`;
    const changed = i === 0 && old.ctime !== now.ctime ? "ctime" : "";
    return `${path}: ${old.mtime === now.mtime ? "" : "mtime "}${changed}`;
  });
  t.note("moved", told);
}

type Act = (t: Probe, path: string) => void;

/** On existing objects of every kind, in the lower and in the upper layer, and once more on the copied-up ones. */
const ON_OBJECTS: Readonly<Record<string, Act>> = {
  chmod: (t, path) => t.chmod(path, 0o640),
  "a chmod that is refused": (t, path) => t.as({ uid: 1001, gid: 1001 }, () => t.chmod(path, 0o600)),
  chown: (t, path) => t.chown(path, 5, 6),
  "a chown to the same owner": (t, path) => t.chown(path, 1000, 0),
  "a chown of nothing": (t, path) => t.chown(path, -1, -1),
  utimes: (t, path) => t.utimes(path, 900_000_000, 5),
  setxattr: (t, path) => t.setxattr(path, "trusted.mark", "1"),
  removexattr: (t, path) => t.removexattr(path, "trusted.absent"),
  link: (t, path) => t.link(path, `${path}-too`),
  "a link onto a name that is there": (t, path) => t.link(path, "d/up/file"),
  unlink: (t, path) => t.unlink(path),
  "a rename in place": (t, path) => t.rename(path, `${path}-moved`),
  "a rename elsewhere": (t, path) => t.rename(path, `other/${path.replaceAll("/", "-")}`),
  "a rename onto itself": (t, path) => t.rename(path, path),
  "an exchange": (t, path) => t.rename(path, "d/up/file", RENAME.EXCHANGE),
  truncate: (t, path) => t.perl("truncate", "truncate($ARGV[0], 3) or print $!", path),
  "a truncate to the same size": (t, path) => t.perl("truncate", "truncate($ARGV[0], 7) or print $!", path),
  "an open to truncate": (t, path) => t.close(t.open(path, O.WRONLY | O.TRUNC | O.NONBLOCK | O.NOFOLLOW)),
  "an open for reading": (t, path) => t.close(t.open(path, O.RDONLY | O.NONBLOCK | O.NOFOLLOW)),
  rmdir: (t, path) => t.rmdir(path),
};

function onObjects([what, act]: [string, Act]): Case {
  return {
    name: `times that ${what} moves`,
    lower: { d: dir({ low: dir(objects()) }) },
    upper: { d: dir({ up: dir(objects()) }), other: dir({}) },
    run(t) {
      for (const layer of ["d/low", "d/up"]) {
        for (const kind of Object.keys(KINDS)) moved(t, [`${layer}/${kind}`, layer, "other", "d"], () => act(t, `${layer}/${kind}`));
      }
      moved(t, ["d/low/file", "d/low"], () => act(t, "d/low/file"));
    },
  };
}

const MAKING: Readonly<Record<string, Act>> = {
  create: (t, path) => t.create(path, "x"),
  mkdir: (t, path) => t.mkdir(path),
  symlink: (t, path) => t.symlink("nowhere", path),
  mknod: (t, path) => t.mknod(path, S.IFIFO | 0o644),
  "an open that creates": (t, path) => t.close(t.open(path, O.CREAT | O.RDWR)),
};

export const changeTimeCases: readonly Case[] = [
  ...Object.entries(ON_OBJECTS).map(onObjects),
  {
    name: "times of a directory that something is made in",
    lower: { d: dir({ there: "x" }), gone: dir({ name: "x" }) },
    upper: { u: dir({ there: "x" }) },
    run(t) {
      for (const [what, make] of Object.entries(MAKING)) {
        const name = what.replaceAll(" ", "-");
        for (const place of ["d", "u"]) {
          moved(t, [`${place}/${name}`, place], () => make(t, `${place}/${name}`));
          moved(t, [`${place}/${name}`, place], () => make(t, `${place}/there`));
        }
      }
      moved(t, ["gone/name", "gone"], () => t.unlink("gone/name"));
      moved(t, ["gone/name", "gone"], () => t.create("gone/name"));
      moved(t, ["u"], () => t.list("u"));
    },
  },
  {
    name: "times that calls on an open file move",
    lower: { f: "content", g: "content" },
    run(t) {
      for (const name of ["f", "g"]) {
        const fd = t.open(name, O.RDWR);
        if (name === "g") moved(t, [name, "."], () => t.unlink("g"));
        moved(t, [name], () => t.pread(fd, 3, 0));
        moved(t, [name], () => t.pwrite(fd, "x", 0));
        moved(t, [name], () => t.pwrite(fd, "", 0));
        moved(t, [name], () => t.ftruncate(fd, 3));
        moved(t, [name], () => t.ftruncate(fd, 3));
        moved(t, [name], () => t.fchmod(fd, 0o600));
        moved(t, [name], () => t.fsetxattr(fd, "user.x", "1"));
        moved(t, [name], () => t.futimes(fd, 950_000_000));
        moved(t, [name], () => t.close(fd));
      }
    },
  },
];
