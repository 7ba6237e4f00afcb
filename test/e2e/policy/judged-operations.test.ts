/**
 * The mount carries out an operation exactly where it was judged, whatever another caller does to the path, the object or
 * the policy before the answer comes, or while a file is copied up.
 */
import { existsSync, lstatSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Intent, IoWatch, Ruling } from "@sluice/overlay";
import { directory, plant, requires, scratch } from "@sluice/testkit";
import { Attr, type CallContext, type DataOut, Errno, type IoctlArgs, O, RENAME, S, type SetAttr, type Status } from "@sluice/vfs";
import { expect } from "vitest";
import { entry, OPEN_GATE, opened, overlayOver } from "../harness/bare-overlay.js";

const { test } = requires("CAP_SYS_ADMIN");

const call: CallContext = { uid: 0, gid: 0, pid: 1, groups: undefined, labels: [], signal: new AbortController().signal };
const GRANT: Ruling = { effect: "grant", errno: 0 };
const DENY: Ruling = { effect: "deny", errno: Errno.EACCES };
const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Until an operation that is allowed has asked the pool. The answer of the pool arrives with the next turn of the event loop. */
async function poolBegins(): Promise<void> {
  for (let step = 0; step < 100; step++) await Promise.resolve();
}

/** Until a copy goes on. It is not over when this returns: the pool works at it, and no turn of the event loop lies between. */
async function untilCopying({ overlay }: Stage): Promise<void> {
  await poolBegins();
  expect(overlay.status().copyUpsUnderWay).toHaveLength(1);
}

interface Stage {
  overlay: ReturnType<typeof overlayOver>;
  base: string;
  idOf(path: string): number;
}

/** `judge` answers every question; a test may change `epoch` meanwhile. */
function stage(judge: (intent: Intent, on: Stage) => Promise<Ruling>): Stage & { gate: { epoch: number } } {
  const base = scratch();
  const lower = { "lower/open/file": "old", "lower/open/other": "other", "lower/open/sub/file": "deep", "lower/aside/file": "aside" };
  plant(base, { ...lower, "upper/": directory(), "work/": directory() });
  const gate = {
    ...OPEN_GATE,
    epoch: 0,
    active: true,
    governs: () => true,
    authorize: (_: CallContext, intent: Intent) => judge(intent, on),
  };
  const overlay = overlayOver(base, gate);
  const idOf = (path: string): number =>
    path.split("/").reduce((parent, name) => {
      const out = entry();
      expect(overlay.lookup(call, parent, name, out)).toBe(0);
      return out.nodeId;
    }, 1);
  const on = { overlay, base, idOf, gate };
  return on;
}

const at = (on: Stage, parent: string, name: string): { parent: number; name: string } => ({ parent: on.idOf(parent), name });
const made = { mode: S.IFREG | 0o644, umask: 0, rdev: 0 };
const create = { mode: S.IFREG | 0o644, umask: 0, flags: O.RDWR | O.CREAT, killSuidgid: false };
const NO_CHANGE: SetAttr = {
  mode: undefined,
  uid: undefined,
  gid: undefined,
  size: undefined,
  atime: undefined,
  mtime: undefined,
  handle: undefined,
  killSuidgid: false,
};
const attributes = (): { attr: Attr; attrTtlMs: number } => ({ attr: new Attr(), attrTtlMs: 0 });
const NO_DATA: DataOut = { length: 0, reserve: (bytes) => new Uint8Array(bytes) };
const flags = (value: number): IoctlArgs => {
  const input = Buffer.alloc(4);
  input.writeUInt32LE(value);
  return { handle: 0, command: SETFLAGS, input };
};
const SETFLAGS = 0x40086602;

/** Each operation works in the directory `open`, which is called `locked` when the answer comes. */
const OPERATIONS: Readonly<Record<string, (on: Stage) => Status>> = {
  create: (on) => on.overlay.create(call, at(on, "open", "new"), create, { entry: entry(), open: opened() }),
  tmpfile: (on) => on.overlay.tmpfile(call, on.idOf("open"), create, { entry: entry(), open: opened() }),
  mknod: (on) => on.overlay.mknod(call, at(on, "open", "new"), made, entry()),
  mkdir: (on) => on.overlay.mkdir(call, at(on, "open", "new"), { ...made, mode: 0o755 }, entry()),
  symlink: (on) => on.overlay.symlink(call, at(on, "open", "new"), "target", entry()),
  "link into it": (on) => on.overlay.link(call, on.idOf("aside/file"), at(on, "open", "new"), entry()),
  "link out of it": (on) => on.overlay.link(call, on.idOf("open/file"), at(on, "aside", "new"), entry()),
  "rename into it": (on) =>
    on.overlay.rename(call, { parent: on.idOf("aside"), name: "file", newParent: on.idOf("open"), newName: "new", flags: 0 }),
  "rename out of it": (on) =>
    on.overlay.rename(call, { parent: on.idOf("open"), name: "file", newParent: on.idOf("aside"), newName: "new", flags: 0 }),
  "rename over a file in it": (on) =>
    on.overlay.rename(call, { parent: on.idOf("aside"), name: "file", newParent: on.idOf("open"), newName: "file", flags: 0 }),
  "exchange with a file in it": (on) =>
    on.overlay.rename(call, {
      parent: on.idOf("aside"),
      name: "file",
      newParent: on.idOf("open"),
      newName: "file",
      flags: RENAME.EXCHANGE,
    }),
  unlink: (on) => on.overlay.unlink(call, on.idOf("open"), "file"),
  chmod: (on) => on.overlay.setattr(call, on.idOf("open/file"), { ...NO_CHANGE, mode: 0o777 }, attributes()),
  truncate: (on) => on.overlay.setattr(call, on.idOf("open/file"), { ...NO_CHANGE, size: 0 }, attributes()),
  setxattr: (on) =>
    on.overlay.setxattr(call, on.idOf("open/file"), { name: "user.note", value: Buffer.from("x"), flags: 0, killSgid: false }),
  removexattr: (on) => on.overlay.removexattr(call, on.idOf("open/file"), "user.note"),
  chattr: (on) => on.overlay.ioctl(call, on.idOf("open/file"), flags(0), NO_DATA),
  "open for writing": (on) => on.overlay.open(call, on.idOf("open/file"), O.RDWR, opened()),
  "open that truncates": (on) => on.overlay.open(call, on.idOf("open/file"), O.WRONLY | O.TRUNC, opened()),
};

for (const [name, run] of Object.entries(OPERATIONS)) {
  test(`${name} is denied if an ancestor gets a denied name while the answer is under way`, async () => {
    let [moved, moving] = [false, false];
    const on = stage(async (intent) => {
      // The rule allows the move of the directory with its contents.
      if (intent.paths.some((path) => path.startsWith("locked/"))) return moving ? GRANT : DENY;
      if (!moved && !moving) {
        moved = true;
        moving = true;
        const move = { parent: 1, name: "open", newParent: 1, newName: "locked", flags: 0 };
        expect(await on.overlay.rename(call, move)).toBe(0);
        moving = false;
      }
      return GRANT;
    });
    expect(await run(on)).toBe(Errno.EACCES);
    expect(moved).toBe(true);
    expect(existsSync(join(on.base, "upper/locked/new"))).toBe(false);
    expect(existsSync(join(on.base, "upper/aside/new"))).toBe(false);
    expect(existsSync(join(on.base, "upper/locked/file"))).toBe(false);
    expect(readFileSync(join(on.base, "lower/open/file"), "utf8")).toBe("old");
  });
}

test("an operation is denied if the policy changes to a denial while the answer is under way", async () => {
  const on = stage(async () => {
    if (on.gate.epoch > 0) return DENY;
    await nextTurn();
    on.gate.epoch++;
    return GRANT;
  });
  expect(await OPERATIONS["unlink"]?.(on)).toBe(Errno.EACCES);
  expect(existsSync(join(on.base, "upper/open"))).toBe(false);
});

test("an open that waits for its copy-up is judged again under another policy", async () => {
  const on = stage(async () => (on.gate.epoch > 0 ? DENY : GRANT));
  plant(join(on.base, "lower/open"), { large: "x".repeat(1 << 20) });
  const opening = on.overlay.open(call, on.idOf("open/large"), O.RDWR, opened());
  await untilCopying(on);
  on.gate.epoch++;
  expect(await opening).toBe(Errno.EACCES);
});

for (const name of ["truncate", "open that truncates"]) {
  test(`${name} leaves the data if the policy denies it while the copy is made`, async () => {
    const on = stage(async () => (on.gate.epoch > 0 ? DENY : GRANT));
    const truncating = OPERATIONS[name]?.(on);
    await untilCopying(on);
    on.gate.epoch++;
    expect(await truncating).toBe(Errno.EACCES);
    expect(existsSync(join(on.base, "upper/open/file"))).toBe(false);
    on.gate.epoch = 0;
    expect(await OPERATIONS[name]?.(on)).toBe(0);
    expect(readFileSync(join(on.base, "upper/open/file"), "utf8")).toBe("");
  });

  test(`${name} that is judged again while the copy is made, and allowed, empties the file`, async () => {
    const on = stage(async () => GRANT);
    const both = [name, "chmod"].map((each) => Promise.resolve(OPERATIONS[each]?.(on)));
    await untilCopying(on);
    on.gate.epoch++;
    expect(await Promise.all(both)).toEqual([0, 0]);
    const { size, mode } = statSync(join(on.base, "upper/open/file"));
    expect([size, mode & 0o777]).toEqual([0, 0o777]);
  });
}

for (const name of ["truncate", "open that truncates"]) {
  test(`${name} is compared by the size that it was judged by, once it has emptied the file itself`, async () => {
    // As a policy that looks at the size: an answer is for this size alone.
    let judged = 0n;
    const on = stage(async ({ layer, attr }) => {
      judged = attr.sizeExact;
      return layer === "upper" ? DENY : GRANT;
    });
    Object.assign(on.gate, { holds: (_: CallContext, __: Ruling, now: Intent) => now.attr.sizeExact === judged });
    expect(await OPERATIONS[name]?.(on)).toBe(0);
    expect(readFileSync(join(on.base, "upper/open/file"), "utf8")).toBe("");
  });
}

test("an open that waits for its copy-up is judged again by a new name", async () => {
  const on = stage(async ({ paths }) => (paths.some((path) => path.startsWith("locked/")) ? DENY : GRANT));
  plant(join(on.base, "lower/open"), { large: "x".repeat(1 << 20) });
  const opening = on.overlay.open(call, on.idOf("open/large"), O.RDWR, opened());
  await untilCopying(on);
  Object.assign(on.gate, { governs: () => false });
  expect(await on.overlay.rename(call, { parent: 1, name: "open", newParent: 1, newName: "locked", flags: 0 })).toBe(0);
  expect(await opening).toBe(Errno.EACCES);
});

test("a removal is judged again if the name has another object when the answer comes", async () => {
  let swapped = false;
  const on = stage(async ({ operation, attr }) => {
    if (operation !== "unlink") return GRANT;
    if (!swapped) {
      swapped = true;
      const [parent, newParent] = [on.idOf("aside"), on.idOf("open")];
      const swap = { parent, name: "file", newParent, newName: "file", flags: RENAME.EXCHANGE };
      expect(await on.overlay.rename(call, swap)).toBe(0);
    }
    return attr.sizeExact === BigInt("aside".length) ? DENY : GRANT;
  });
  expect(await on.overlay.unlink(call, on.idOf("open"), "file")).toBe(Errno.EACCES);
  expect(readFileSync(join(on.base, "upper/open/file"), "utf8")).toBe("aside");
});

test("an operation is judged again if the owner changes while the answer is under way", async () => {
  let changed = false;
  const on = stage(async ({ operation, attr }) => {
    if (operation !== "unlink") return GRANT;
    if (!changed) {
      changed = true;
      expect(await on.overlay.setattr(call, on.idOf("open/file"), { ...NO_CHANGE, uid: 4321 }, attributes())).toBe(0);
    }
    return attr.uid === 4321 ? DENY : GRANT;
  });
  expect(await on.overlay.unlink(call, on.idOf("open"), "file")).toBe(Errno.EACCES);
  expect(statSync(join(on.base, "upper/open/file")).uid).toBe(4321);
});

test("a link fails if the last name of its file is removed while the answer is under way", async () => {
  let removed = false;
  const on = stage(async ({ operation }) => {
    if (operation === "link" && !removed) {
      removed = true;
      expect(await on.overlay.unlink(call, on.idOf("open"), "file")).toBe(0);
    }
    return GRANT;
  });
  expect(await on.overlay.link(call, on.idOf("open/file"), at(on, "aside", "new"), entry())).toBe(Errno.ENOENT);
  expect(existsSync(join(on.base, "upper/aside/new"))).toBe(false);
});

test("an operation that is overtaken repeatedly fails after a bounded number of judgements", async () => {
  let asked = 0;
  const on = stage(async () => {
    asked++;
    on.gate.epoch++;
    return GRANT;
  });
  expect(await OPERATIONS["unlink"]?.(on)).toBe(Errno.EACCES);
  expect(asked).toBe(16);
});

test("a directory's new name is judged with entries that arrive between its judgement and the move", async () => {
  const on = stage(async ({ operation, paths: [path = ""] }) => {
    if (operation === "open" && path === "open/late") return DENY;
    if (operation === "rename" && path === "open/sub" && !existsSync(join(on.base, "upper/open/late"))) {
      expect(await on.overlay.mknod(call, at(on, "open", "late"), made, entry())).toBe(0);
    }
    return GRANT;
  });
  const move = { parent: 1, name: "open", newParent: 1, newName: "locked", flags: 0 };
  expect(await on.overlay.rename(call, move)).toBe(Errno.EACCES);
  expect(lstatSync(join(on.base, "upper/open")).isDirectory()).toBe(true);
});

test("a move of a tree asks about many of its names at the same time, and ends after all answers", async () => {
  const asked = new Map<string, number>();
  let most = 0;
  const on = stage(async ({ operation, paths: [path = ""] }) => {
    if (operation !== "open" || !path.startsWith("open/many")) return GRANT;
    asked.set(path, (asked.get(path) ?? 0) + 1);
    most = Math.max(most, asked.size);
    // The other answers are still on their way when the first one refuses.
    const refused = path === "open/many0";
    for (let turn = 0; turn < (refused ? 1 : 5); turn++) await nextTurn();
    const left = (asked.get(path) as number) - 1;
    if (left === 0) asked.delete(path);
    else asked.set(path, left);
    return refused ? DENY : GRANT;
  });
  for (let file = 0; file < 200; file++) writeFileSync(join(on.base, `lower/open/many${file}`), "");
  const move = { parent: 1, name: "open", newParent: 1, newName: "locked", flags: 0 };
  // The source denies what the target grants.
  expect(await on.overlay.rename(call, move)).toBe(Errno.EACCES);
  expect(asked.size).toBe(0);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(64);
});

test("refuses to switch on case folding for a directory, whatever the policy says", async () => {
  let asked = 0;
  const on = stage(async () => {
    asked++;
    return GRANT;
  });
  expect(await on.overlay.ioctl(call, on.idOf("open"), flags(0x4000_0000), NO_DATA)).toBe(Errno.EOPNOTSUPP);
  expect(asked).toBe(0);
});

const MIB = 1 << 20;

test("a large file that is copied up for a truncation keeps its data if the policy denies it by then", async () => {
  const on = stage(() => Promise.resolve(on.gate.epoch === 0 ? GRANT : DENY));
  writeFileSync(join(on.base, "lower/open/file"), Buffer.alloc(64 * MIB, 7));
  const truncated = on.overlay.setattr(call, on.idOf("open/file"), { ...NO_CHANGE, size: 100 }, attributes());
  await untilCopying(on);
  on.gate.epoch++;
  expect(await truncated).toBe(Errno.EACCES);
  expect(statSync(join(on.base, "upper/open/file")).size).toBe(64 * MIB);
});

/** A file of the upper layer, and both ways to empty it. */
function largeFile(): { on: ReturnType<typeof stage>; path: string; truncations: (() => Status)[] } {
  const on = stage(() => Promise.resolve(GRANT));
  const path = join(on.base, "upper/large");
  writeFileSync(path, "");
  const id = on.idOf("large");
  const bySize = (): Status => on.overlay.setattr(call, id, { ...NO_CHANGE, size: 0 }, attributes());
  const byOpen = (): Status => on.overlay.open(call, id, O.RDWR | O.TRUNC, opened());
  return { on, path, truncations: [bySize, byOpen] };
}

test("bytes that somebody writes once a large file is truncated stay, though its truncation was not told yet", async () => {
  const { path, truncations } = largeFile();
  for (const truncate of truncations) {
    writeFileSync(path, Buffer.alloc(16 * MIB, 7));
    const told = truncate();
    await poolBegins();
    // Without a turn of the event loop, in which the overlay would hear of it.
    while (statSync(path).size > 0);
    writeFileSync(path, "new", { flag: "a" });
    expect(await told).toBe(0);
    expect(readFileSync(path, "utf8")).toBe("new");
  }
});

test("a large file that is truncated, and then judged again under another policy, is truncated once", async () => {
  const { on, path, truncations } = largeFile();
  for (const truncate of truncations) {
    writeFileSync(path, Buffer.alloc(16 * MIB, 7));
    const told = truncate();
    await poolBegins();
    while (statSync(path).size > 0);
    writeFileSync(path, "new", { flag: "a" });
    on.gate.epoch++;
    expect(await told).toBe(0);
    expect(readFileSync(path, "utf8")).toBe("new");
  }
});

test("an open that has truncated a large file, and comes again by another nodeId, leaves what others wrote", async () => {
  let observes = false;
  const watch = (): IoWatch => ({ before: (io) => io.length, after: () => undefined });
  const on = stage(async () => (observes ? { effect: "mediate", errno: 0, watch } : GRANT));
  const path = join(on.base, "upper/large");
  writeFileSync(path, Buffer.alloc(16 * MIB, 7));
  const id = on.idOf("large");
  const told = on.overlay.open(call, id, O.RDWR | O.TRUNC, opened());
  await poolBegins();
  while (statSync(path).size > 0);
  observes = true;
  const observed = opened();
  const other = on.overlay.open({ ...call, pid: 2 }, id, O.RDONLY, observed);
  expect(await other).toBe(0);
  observes = false;
  expect(await told).toBe(Errno.ESTALE);
  writeFileSync(path, "new", { flag: "a" });
  const found = on.idOf("large");
  expect(found).not.toBe(id);
  expect(await on.overlay.open(call, found, O.RDWR | O.TRUNC, opened())).toBe(0);
  expect(readFileSync(path, "utf8")).toBe("new");
});
