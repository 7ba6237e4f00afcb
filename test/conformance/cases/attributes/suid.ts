/** Changes that clear the suid and sgid bits and file capabilities. */
import { FALLOC, O } from "@sluice/vfs";
import { dir, file } from "../../tree/tree.js";
import type { Probe } from "../../probe/probe.js";
import type { Case } from "../case.js";

const STRANGER = { uid: 1001, gid: 1001 };
const OWNER = { uid: 1000, gid: 1000 };
export const CAPABILITY = Buffer.from("0100000200040000000000000000000000000000", "hex").toString("latin1");

/** Descriptors are opened as that user; changes by descriptor then count as that user's. */
type Change = (t: Probe, name: string) => void | Promise<void>;

const CHANGES: Readonly<Record<string, Change>> = {
  write: (t, name) => {
    const fd = t.open(name, O.WRONLY);
    t.write(fd, "X");
    t.close(fd);
  },
  "open to truncate": (t, name) => t.close(t.open(name, O.WRONLY | O.TRUNC)),
  ftruncate: (t, name) => {
    const fd = t.open(name, O.WRONLY);
    t.ftruncate(fd, 1);
    t.close(fd);
  },
  "mapped write": (t, name) => {
    const fd = t.open(name, O.RDWR);
    t.mapped(fd, 4, true, (bytes) => bytes.write("M"));
    t.close(fd);
  },
};

const FILES = {
  s: file("suid content", { mode: 0o6777, uid: 1000, gid: 1000 }),
  g: file("sgid no exec", { mode: 0o2767, uid: 1000, gid: 1000 }),
  c: file("capable", { mode: 0o777, uid: 1000, xattrs: { "security.capability": CAPABILITY } }),
};

function changedBy([how, change]: [string, Change]): Case {
  return {
    name: `suid after ${how}`,
    lower: {
      stranger: "",
      owner: "",
      ...Object.fromEntries(
        ["stranger", "owner", "root"].flatMap((who) => Object.entries(FILES).map(([name, entry]) => [`${who}-${name}`, entry])),
      ),
    },
    run(t) {
      for (const name of Object.keys(FILES)) {
        t.as(STRANGER, () => void change(t, `stranger-${name}`));
        t.as(OWNER, () => void change(t, `owner-${name}`));
        void change(t, `root-${name}`);
        for (const who of ["stranger", "owner", "root"]) {
          t.stat(`${who}-${name}`);
          t.listxattr(`${who}-${name}`);
        }
      }
    },
  };
}

export const suidCases: readonly Case[] = [
  ...Object.entries(CHANGES).map(changedBy),
  {
    name: "suid after fallocate by another user",
    lower: { a: FILES.s, b: FILES.s, c: FILES.g },
    async run(t) {
      for (const [name, mode] of [
        ["a", 0],
        ["b", FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE],
        ["c", FALLOC.KEEP_SIZE],
      ] as const) {
        let fd = -1;
        t.as(STRANGER, () => (fd = t.open(name, O.RDWR)));
        await t.as(STRANGER, () => t.fallocate(fd, mode, 0, 8192));
        t.stat(name);
      }
    },
  },
  {
    name: "suid after copy_file_range by another user",
    lower: { f: FILES.s, from: "copied" },
    async run(t) {
      const from = t.open("from", O.RDONLY);
      let fd = -1;
      t.as(STRANGER, () => (fd = t.open("f", O.RDWR)));
      await t.as(STRANGER, () => t.copyRange(from, 0, { fd, at: 0 }, 3));
      t.stat("f");
      t.read("f");
    },
  },
  {
    name: "suid after a second write on an open file",
    lower: { f: FILES.s },
    run(t) {
      let fd = -1;
      t.as(STRANGER, () => {
        fd = t.open("f", O.RDWR);
        t.pwrite(fd, "1", 0);
      });
      t.stat("f");
      t.chmod("f", 0o6777);
      t.stat("f");
      t.as(STRANGER, () => t.pwrite(fd, "2", 0));
      t.stat("f");
    },
  },
  {
    name: "suid after chown by root and by the owner",
    lower: {
      a: FILES.s,
      b: FILES.g,
      c: FILES.c,
      d: FILES.s,
      e: FILES.s,
      f: file("sgid no exec", { mode: 0o2644, uid: 1000, gid: 0 }),
      h: dir({}, { mode: 0o2777, uid: 1000, gid: 1000 }),
    },
    run(t) {
      t.as({ ...OWNER, groups: [] }, () => {
        t.chown("h", -1, -1);
        t.chown("e", -1, -1);
        t.chown("f", -1, -1);
      });
      t.chown("a", 1001, 1001);
      t.chown("b", -1, 1001);
      t.chown("c", 1001, -1);
      t.as({ ...OWNER, groups: [2000] }, () => t.chown("d", -1, 2000));
      for (const name of ["a", "b", "c", "d", "e", "f", "h"]) {
        t.stat(name);
        t.listxattr(name);
      }
    },
  },
  {
    name: "suid survives chmod rename and link",
    lower: { f: FILES.s },
    run(t) {
      t.rename("f", "g");
      t.link("g", "h");
      t.stat("h");
      t.chmod("h", 0o6711);
      t.stat("g");
      t.as(OWNER, () => t.chmod("g", 0o6755));
      t.stat("g");
    },
  },
];
