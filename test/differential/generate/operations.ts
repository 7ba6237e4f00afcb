/** Draws calls: the kind, the caller and the object. Weights make a profile, for runs that test one area. */
import { constants } from "node:fs";
import { FALLOC, O, RENAME, SEEK, UTIME, XATTR } from "@sluice/vfs";
import type { Actor, Args, Operation } from "../script/operation.js";
import { ACL, LINK_TARGETS, SPECIAL_MODES } from "./layers.js";
import type { Names } from "./names.js";
import type { Random } from "@sluice/testkit/random";

const SLOTS = 3;
const MODES = [0o644, 0o600, 0o666, 0o755, 0o777, 0o4755, 0o2755, 0o2644, 0o1644, 0o400, 0o640];
const DIRECTORY_MODES = [0o755, 0o777, 0o700, 0o1777, 0o2777, 0o555];
const ATTRIBUTES = ["user.x", "user.x", "user.planted", "user.longer.name.of.an.attribute", "trusted.t", "system.posix_acl_access"];
const REFUSED_ATTRIBUTES = [
  "trusted.overlay.opaque",
  "trusted.overlay.redirect",
  "bogus.name",
  "user.",
  `user.${"n".repeat(260)}`,
  "system.posix_acl_default",
];
const OFFSETS = [0, 0, 1, 3, 17, 511, 4095, 4096, 4097, 70_001];
const SIZES = [0, 1, 5, 100, 4095, 4096, 4097, 100_000];

interface Draw {
  random: Random;
  names: Names;
  /** The number of writes so far: each writes other data. */
  writes: number;
  /** Slots that may hold an open file, the latest last. */
  opened: { actor: Actor; slot: number; path: string }[];
}

const pathOf = ({ names }: Draw): Args => ({ path: names.path() });
const slotOf = ({ random }: Draw): Args => ({ slot: random.below(SLOTS) });
const watched = (draw: Draw): Args => (draw.random.once(3) ? { ...pathOf(draw), ino: true } : pathOf(draw));

function openFlags({ random }: Draw): number {
  const access = random.of([O.RDONLY, O.RDONLY, O.WRONLY, O.RDWR, O.RDWR]);
  const further: readonly (readonly [times: number, flag: number])[] = [
    [3, O.CREAT],
    [8, O.EXCL],
    [6, O.TRUNC],
    [5, O.APPEND],
    [12, O.DIRECTORY],
    [6, O.NOFOLLOW],
    [20, O.NOATIME],
    [20, O.SYNC],
    [20, O.DSYNC],
    [40, O.PATH],
  ];
  return further.reduce((flags, [times, flag]) => (random.once(times) ? flags | flag : flags), access | O.NONBLOCK);
}

function written(draw: Draw): Args {
  draw.writes += 1;
  const times = draw.random.of([1, 1, 1, 1, 300, 9000]);
  return { text: `w${draw.writes};`, ...(times > 1 ? { times } : {}) };
}

const attribute = ({ random }: Draw): string => random.of(random.once(8) ? REFUSED_ATTRIBUTES : ATTRIBUTES);

function attributeSet(draw: Draw): Args {
  const { random } = draw;
  const name = attribute(draw);
  const value = name.startsWith("system.") ? ACL : random.of(["", "v", "value", "v".repeat(200)]);
  return { name, value, flags: random.of([0, 0, 0, XATTR.CREATE, XATTR.REPLACE]) };
}

const seconds = ({ random }: Draw): number => random.of([0, 1, 950_000_000, -5, 2_000_000_000]);

function fallocated({ random }: Draw): Args {
  const mode = random.of([0, 0, FALLOC.KEEP_SIZE, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, FALLOC.ZERO_RANGE, FALLOC.PUNCH_HOLE]);
  return { mode, at: random.of(OFFSETS), length: random.of(SIZES) };
}

const renameFlags = ({ random }: Draw): number =>
  random.of([0, 0, 0, 0, RENAME.NOREPLACE, RENAME.EXCHANGE, RENAME.EXCHANGE, RENAME.EXCHANGE | RENAME.NOREPLACE, 64]);

/** A sample of every kind of call, for tests that need a call of a kind on a certain object. */
export function drawArguments(random: Random, names: Names, call: string): Args {
  const args = DRAWS[call]?.({ random, names, writes: random.below(1000), opened: [] });
  if (args === undefined) throw new Error(`no such call: ${call}`);
  return args;
}

const DRAWS: Readonly<Record<string, (draw: Draw) => Args>> = {
  mkdir: (draw) => ({ ...pathOf(draw), mode: draw.random.of(DIRECTORY_MODES) }),
  create: (draw) => ({ ...pathOf(draw), text: written(draw)["text"] as string, mode: draw.random.of(MODES) }),
  mknod: (draw) => ({ ...pathOf(draw), mode: draw.random.of(SPECIAL_MODES), major: draw.random.of([0, 1]), minor: 3 }),
  symlink: (draw) => ({ ...pathOf(draw), target: draw.random.of([...LINK_TARGETS, "x".repeat(300)]) }),
  readlink: pathOf,
  link: (draw) => ({ ...watched(draw), to: draw.names.path() }),
  unlink: pathOf,
  rmdir: pathOf,
  rename: (draw) => ({ ...watched(draw), to: draw.names.path(), flags: renameFlags(draw) }),
  chmod: (draw) => ({ ...watched(draw), mode: draw.random.of([...MODES, ...DIRECTORY_MODES]) }),
  chown: (draw) => ({ ...watched(draw), uid: draw.random.of([0, 1000, 2000, -1]), gid: draw.random.of([0, 1000, 2000, -1]) }),
  utimes: (draw) => ({ ...watched(draw), sec: seconds(draw), nsec: draw.random.of([0, 1, 999_999_999, UTIME.NOW]) }),
  stat: pathOf,
  read: pathOf,
  statfs: pathOf,
  setxattr: (draw) => ({ ...watched(draw), ...attributeSet(draw) }),
  getxattr: (draw) => ({ ...pathOf(draw), name: attribute(draw) }),
  listxattr: pathOf,
  removexattr: (draw) => ({ ...pathOf(draw), name: attribute(draw) }),
  list: pathOf,
  relist: slotOf,
  access: (draw) => ({ ...pathOf(draw), mode: draw.random.of([constants.R_OK, constants.W_OK, constants.X_OK, constants.F_OK]) }),
  truncate: (draw) => ({ ...watched(draw), size: draw.random.of(SIZES) }),
  umask: ({ random }) => ({ mask: random.of([0, 0o022, 0o077, 0o027]) }),
  open: (draw) => ({ ...slotOf(draw), ...watched(draw), flags: openFlags(draw), mode: draw.random.of(MODES) }),
  tmpfile: (draw) => ({
    ...slotOf(draw),
    ...pathOf(draw),
    flags: O.TMPFILE | draw.random.of([O.RDWR, O.WRONLY]),
    mode: draw.random.of(MODES),
  }),
  close: slotOf,
  linkfd: (draw) => ({ ...slotOf(draw), to: draw.names.path() }),
  fread: (draw) => ({ ...slotOf(draw), length: draw.random.of([1, 10, 5000]) }),
  write: (draw) => ({ ...slotOf(draw), ...written(draw) }),
  append: (draw) => ({ ...slotOf(draw), ...written(draw) }),
  pread: (draw) => ({ ...slotOf(draw), at: draw.random.of(OFFSETS), length: draw.random.of([1, 10, 5000]) }),
  pwrite: (draw) => ({ ...slotOf(draw), at: draw.random.of(OFFSETS), ...written(draw) }),
  ftruncate: (draw) => ({ ...slotOf(draw), size: draw.random.of(SIZES) }),
  fallocate: (draw) => ({ ...slotOf(draw), ...fallocated(draw) }),
  seek: (draw) => ({
    ...slotOf(draw),
    at: draw.random.of(OFFSETS),
    whence: draw.random.of([SEEK.SET, SEEK.CUR, SEEK.END, SEEK.DATA, SEEK.HOLE]),
  }),
  copyrange: (draw) => ({
    ...slotOf(draw),
    at: draw.random.of(OFFSETS),
    toSlot: draw.random.below(SLOTS),
    toAt: draw.random.of(OFFSETS),
    length: draw.random.of([1, 100, 5000]),
  }),
  mapread: (draw) => ({ ...slotOf(draw), length: 5000 }),
  mapwrite: (draw) => ({ ...slotOf(draw), length: 5000, at: draw.random.of(OFFSETS), text: written(draw)["text"] as string }),
  mapprivate: (draw) => ({ ...slotOf(draw), length: 5000 }),
  fsync: slotOf,
  fdatasync: slotOf,
  syncfs: slotOf,
  fstat: slotOf,
  fchmod: (draw) => ({ ...slotOf(draw), mode: draw.random.of(MODES) }),
  fchown: (draw) => ({ ...slotOf(draw), uid: draw.random.of([0, 1000, 2000]), gid: draw.random.of([0, 1000]) }),
  futimes: (draw) => ({ ...slotOf(draw), sec: seconds(draw) }),
  fsetxattr: (draw) => ({ ...slotOf(draw), ...attributeSet(draw) }),
  fgetxattr: (draw) => ({ ...slotOf(draw), name: attribute(draw) }),
  flock: (draw) => ({ ...slotOf(draw), operation: draw.random.of([1, 2, 8]) | 4 }),
};

export type Profile = Readonly<Record<string, number>>;

/** Some of every call; more of the calls that change names or open files, on which the rest depends. */
export const EVERYTHING: Profile = {
  ...Object.fromEntries(Object.keys(DRAWS).map((call) => [call, 4])),
  rename: 16,
  open: 24,
  mkdir: 8,
  unlink: 8,
  rmdir: 8,
  link: 8,
  list: 8,
  stat: 8,
  // These run programs, and are slow.
  truncate: 2,
  mapprivate: 1,
  syncfs: 1,
  statfs: 1,
  umask: 1,
};

const WHO: readonly (readonly [number, Actor])[] = [
  [10, "root"],
  [4, "alice"],
  [2, "bob"],
  [1, "alice2"],
];

/** A call on an open file is usually made by the process that opened one. */
function drawOperation(draw: Draw, call: string): Operation {
  const { random, opened } = draw;
  const args = DRAWS[call]?.(draw);
  if (args === undefined) throw new Error(`no such call: ${call}`);
  const actor = random.weighted(WHO);
  if (call === "open" || call === "tmpfile") {
    opened.push({ actor, slot: args["slot"] as number, path: args["path"] as string });
    return { actor, call, args };
  }
  const chosen = args["slot"] !== undefined && opened.length > 0 && !random.once(12) ? random.of(opened.slice(-4)) : undefined;
  return chosen === undefined ? { actor, call, args } : { actor: chosen.actor, call, args: { ...args, slot: chosen.slot } };
}

/** Removes an object's name while it is open. */
function removeOpened({ random, opened, names }: Draw): Operation[] {
  const path = opened.at(-1)?.path ?? names.path();
  return [
    {
      actor: "root",
      ...random.of([
        { call: "unlink", args: { path } },
        { call: "rename", args: { path: names.path(), to: path, flags: 0 } },
      ]),
    },
  ];
}

/** Renames a directory, and then uses a name below it. */
function moveDirectory(draw: Draw): Operation[] {
  const [path, to] = [draw.random.of(draw.names.pool), draw.random.of(draw.names.pool)];
  const inside = { path: `${to}/${draw.names.name()}` };
  return [
    { actor: "root", call: "rename", args: { path, to, flags: draw.random.of([0, 2]) } },
    { actor: "root", call: draw.random.of(["list", "stat"]), args: draw.random.of([inside, { path: to }]) },
  ];
}

/** Replaces an earlier object by a directory. */
function replaceByDirectory({ random, names }: Draw): Operation[] {
  const path = names.path();
  return [
    { actor: "root", call: "unlink", args: { path } },
    { actor: "root", call: "rmdir", args: { path } },
    { actor: "root", call: random.of(["mkdir", "create"]), args: { path, mode: 0o755, text: "in its place" } },
  ];
}

const MOTIFS = [removeOpened, moveDirectory, replaceByDirectory];

export function drawOperations(random: Random, names: Names, { count, profile }: { count: number; profile: Profile }): Operation[] {
  const draw: Draw = { random, names, writes: 0, opened: [] };
  const weights = Object.entries(profile).map(([call, weight]) => [weight, call] as const);
  const operations: Operation[] = [];
  while (operations.length < count) {
    if (random.once(10)) operations.push(...random.of(MOTIFS)(draw));
    else operations.push(drawOperation(draw, random.weighted(weights)));
  }
  return operations;
}
