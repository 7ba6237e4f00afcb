/**
 * Intended differences from kernel overlayfs, each with its reason. Only this table has exceptions; a case has none.
 * An entry that is no longer true, on either side, fails the suite.
 */
import { directoryName } from "./cases/case.js";
import { LONG } from "./cases/names/rename-directories.js";
import { CAPABILITY } from "./cases/attributes/suid.js";
import type { Engine } from "./run/run-engine.js";

export interface Difference {
  case: string;
  /** The step as recorded ("3 stat f"), or the path of a snapshot's line, from the case's directory. */
  at: { step: string } | { aspect: "merged" | "upper"; path: string };
  /** undefined: the line is missing. */
  kernel: unknown;
  sluice: unknown;
  /** On these alone; on all if omitted. */
  on?: readonly Engine[];
  reason: string;
}

interface Deviation {
  case: string;
  on?: readonly Engine[];
  reason: string;
  /** Call → results of the kernel and of Sluice. */
  steps?: Readonly<Record<string, readonly [kernel: unknown, sluice: unknown]>>;
  /** Path → lines. */
  merged?: Readonly<Record<string, readonly [kernel: string | undefined, sluice: string | undefined]>>;
  upper?: Readonly<Record<string, readonly [kernel: string | undefined, sluice: string | undefined]>>;
}

/** Passthrough is in force: reads and writes do not reach the daemon. */
const PASSED_THROUGH: readonly Engine[] = ["granted", "forgetful"];
const OLD = "mtime=1000000000.123456789";
const KILLS_ALWAYS =
  "The kernel writes to a backing file with the credentials that registered it. Writes of strangers clear suid only if these lack CAP_FSETID, so every write does.";

function written(name: string, mode: string, owner: string, content: string): string {
  return `${name} ${mode} ${owner} mtime=now nlink=1 size=${content.length} ${JSON.stringify(content)}`;
}

function sameIn(lines: Readonly<Record<string, readonly [string, string]>>): Pick<Deviation, "merged" | "upper"> {
  return { merged: lines, upper: lines };
}

const capable = written("file", "777", "1000:0", "Mapable");
const withCapability = `${capable} security.capability=${JSON.stringify(CAPABILITY)}`;
const redirectedTo = `/${directoryName("a redirect longer than 256 bytes")}/l/${LONG}`;

const deviations: readonly Deviation[] = [
  {
    case: "modes with suid sgid and sticky at creation",
    on: PASSED_THROUGH,
    reason: KILLS_ALWAYS,
    steps: { "4 stat f": ["file 7777 0:0 nlink=1 size=1 mtime=now", "file 1777 0:0 nlink=1 size=1 mtime=now"] },
    ...sameIn({ f: [written("file", "7777", "0:0", "x"), written("file", "1777", "0:0", "x")] }),
  },
  {
    case: "suid after write",
    on: PASSED_THROUGH,
    reason: `${KILLS_ALWAYS} These credentials are only in root's group, so sgid without group execution is cleared, too.`,
    steps: {
      "14 stat root-s": ["file 6777 1000:1000 nlink=1 size=12 mtime=now", "file 777 1000:1000 nlink=1 size=12 mtime=now"],
      "27 stat owner-g": ["file 2767 1000:1000 nlink=1 size=12 mtime=now", "file 767 1000:1000 nlink=1 size=12 mtime=now"],
      "29 stat root-g": ["file 2767 1000:1000 nlink=1 size=12 mtime=now", "file 767 1000:1000 nlink=1 size=12 mtime=now"],
    },
    ...sameIn({
      "root-s": [written("file", "6777", "1000:1000", "Xuid content"), written("file", "777", "1000:1000", "Xuid content")],
      "owner-g": [written("file", "2767", "1000:1000", "Xgid no exec"), written("file", "767", "1000:1000", "Xgid no exec")],
      "root-g": [written("file", "2767", "1000:1000", "Xgid no exec"), written("file", "767", "1000:1000", "Xgid no exec")],
    }),
  },
  {
    case: "suid after mapped write",
    on: ["mediated"],
    reason:
      "A change by a mapping reaches the daemon as a write, and the host removes capabilities from a written file. This is the safe side.",
    steps: {
      "41 listxattr stranger-c 65536": [["security.capability"], []],
      "43 listxattr owner-c 65536": [["security.capability"], []],
      "45 listxattr root-c 65536": [["security.capability"], []],
    },
    ...sameIn({ "stranger-c": [withCapability, capable], "owner-c": [withCapability, capable], "root-c": [withCapability, capable] }),
  },
  {
    case: "rename onto directories that are not empty",
    reason: "The kernel copies up before it detects that it must refuse. Sluice checks first and leaves nothing behind.",
    upper: { d: [`directory 755 0:0 ${OLD} redirect="d"`, undefined] },
  },
  {
    case: "a redirect longer than 256 bytes",
    reason: "The kernel follows longer redirects than redirect_max lets it write. Sluice writes them if there is room.",
    steps: { [`1 rename l/${LONG} p/m`]: ["EXDEV", "ok"], "2 read p/m/f": ["ENOENT", "deep"] },
    merged: {
      l: [`directory 755 0:0 ${OLD}`, "directory 755 0:0 mtime=now"],
      [`l/${LONG}`]: [`directory 755 0:0 ${OLD}`, undefined],
      [`l/${LONG}/f`]: [`file 644 0:0 ${OLD} nlink=1 size=4 "deep"`, undefined],
      p: [`directory 755 0:0 ${OLD}`, "directory 755 0:0 mtime=now"],
      "p/m": [undefined, `directory 755 0:0 ${OLD}`],
      "p/m/f": [undefined, `file 644 0:0 ${OLD} nlink=1 size=4 "deep"`],
    },
    upper: {
      l: [`directory 755 0:0 ${OLD}`, "directory 755 0:0 mtime=now"],
      [`l/${LONG}`]: [`directory 755 0:0 ${OLD}`, "whiteout"],
      p: [`directory 755 0:0 ${OLD}`, "directory 755 0:0 mtime=now"],
      "p/m": [undefined, `directory 755 0:0 ${OLD} redirect=${JSON.stringify(redirectedTo)}`],
    },
  },
  {
    case: "attributes of an unlinked lower file",
    reason:
      "The kernel cannot copy up a file that lost its name (EEXIST), and still counts a link. Sluice copies it without a name, as any file system would.",
    steps: {
      "3 fchmod 640": ["EEXIST", "ok"],
      "4 fsetxattr user.late": ["EEXIST", "ok"],
      "6 fstat": [`file 644 0:0 nlink=1 size=13 ${OLD}`, `file 640 0:0 nlink=0 size=13 ${OLD}`],
    },
  },
  {
    case: "a removed directory that is open",
    reason: "Neither can change the mode of a removed lower directory. ENOENT says why; the kernel's ENOTDIR comes from its whiteout.",
    steps: { "4 fchmod 700": ["ENOTDIR", "ENOENT"] },
  },
  {
    case: "a reader opened before a copy up sees what is written",
    on: PASSED_THROUGH,
    reason: "A passthrough reader is tied to the lower file until it closes it (fs/fuse/iomode.c). Mediated readers follow.",
    steps: { "4 pread 20 at 0": ["UPPER content", "lower content"], "6 pread 20 at 0": ["UPP", "lower content"] },
  },
  {
    case: "a reader from before a copy up is opened again by its descriptor",
    on: PASSED_THROUGH,
    reason:
      "The inode of a passthrough reader is tied to the lower file, and no reply makes the kernel open another one for writing (docs/io-modes.md): ESTALE. With --coherent-readers Sluice acts as the kernel does.",
    steps: { "6 reopen 02": ["ok", "ESTALE"] },
  },
  {
    case: "fallocate extends keeps size punches and zeroes",
    reason: "FUSE refuses to collapse and insert ranges before it asks the daemon (fs/fuse/file.c fuse_file_fallocate).",
    steps: {
      "11 fallocate 8 0 4096": ["ok", "ENOTSUP"],
      "12 fstat": ["file 644 0:0 nlink=1 size=15904 mtime=now", "file 644 0:0 nlink=1 size=20000 mtime=now"],
      "13 fallocate 32 0 4096": ["ok", "ENOTSUP"],
    },
    ...sameIn({
      f: [
        "file 644 0:0 mtime=now nlink=1 size=20000 c65621bfbeefb56580a1d0fcee361a6ed5a9c6e9",
        "file 644 0:0 mtime=now nlink=1 size=20000 feee28496bbd7d3cbef1892188642af67864d149",
      ],
    }),
  },
  {
    case: "SEEK_HOLE and SEEK_DATA in lower and upper files",
    reason: "The kernel copies a mebibyte from the start of data. Sluice preserves every hole.",
    steps: {
      "12 lseek 0 whence 4": [1_048_576, 4096],
      "14 lseek 10000 whence 3": [10_000, 524_288],
      "15 lseek 600000 whence 3": [600_000, "ENXIO"],
      "16 lseek 600000 whence 4": [1_048_576, 600_000],
    },
  },
  {
    case: "d_ino equals st_ino in every kind of directory",
    reason:
      "The kernel lists the upper number of a merged directory until something in its parent was copied up. Sluice lists the number that stat returns.",
    steps: { "1 .": [["mer"], []], "3 mer": [["s"], []] },
  },
];

export const differences: readonly Difference[] = deviations.flatMap(({ steps, merged, upper, ...common }) => [
  ...Object.entries(steps ?? {}).map(([step, [kernel, sluice]]) => ({ ...common, at: { step }, kernel, sluice })),
  ...Object.entries(merged ?? {}).map(([path, [kernel, sluice]]) => ({
    ...common,
    at: { aspect: "merged" as const, path },
    kernel,
    sluice,
  })),
  ...Object.entries(upper ?? {}).map(([path, [kernel, sluice]]) => ({ ...common, at: { aspect: "upper" as const, path }, kernel, sluice })),
]);
