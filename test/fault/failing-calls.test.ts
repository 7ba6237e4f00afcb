/**
 * A system call on a layer fails: without room, without descriptors, or with an error of the device. The caller learns of it, nothing that was
 * hidden shows, and nothing that is protected loses its protection. The overlay is called as the engine would call it, and the calls of the
 * addon fail as a test says.
 */
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { native } from "@sluice/native";
import type { Overlay } from "@sluice/overlay";
import { directory, file, hardLink, plant, requires, scratch, type Tree, whiteout } from "@sluice/testkit";
import { AT, Attr, type CallContext, Errno, O, S, UTIME } from "@sluice/vfs";
import { expect } from "vitest";
import { countCalls, withFault } from "../../packages/overlay/dist/layer/testing/with-fault.js";
import { entry, opened, overlayOver } from "../e2e/harness/bare-overlay.js";

const { test } = requires("CAP_SYS_ADMIN");
const call: CallContext = { uid: 0, gid: 0, pid: 1, groups: undefined, labels: undefined, signal: new AbortController().signal };
const ROOT = 1;

interface Planted {
  overlay: Overlay;
  base: string;
  /** The id of a path, or the negative errno; 0 if there is nothing. */
  find(path: string): number;
}

function planted(tree: Tree, more: Parameters<typeof overlayOver>[2] = {}, base = scratch()): Planted {
  plant(base, { "lower/": directory(), "upper/": directory(), ...tree });
  mkdirSync(join(base, "work"));
  const overlay = overlayOver(base, undefined, more);
  const find = (path: string): number => {
    let id = ROOT;
    for (const name of path.split("/")) {
      const found = entry();
      const status = overlay.lookup(call, id, name, found) as number;
      if (status !== 0) return -status;
      id = found.nodeId;
    }
    return id;
  };
  return { overlay, base, find };
}

/** 0 if nothing is there. */
function modeAt(path: string): number {
  const attr = new Attr();
  return native.statx(AT.FDCWD, path, AT.SYMLINK_NOFOLLOW, attr.words) < 0 ? 0 : attr.mode;
}

const kindOf = (path: string): number => modeAt(path) & S.IFMT;
const modeOf = (path: string): number => modeAt(path) & 0o7777;
/** FS_IMMUTABLE_FL and FS_APPEND_FL */
const IMMUTABLE = 0x10;
const APPEND_ONLY = 0x20;

/** Takes all flags from a file, if there is one. */
function free(path: string): void {
  const fd = native.openat(AT.FDCWD, path, O.RDONLY, 0);
  if (fd < 0) return;
  native.setFlags(fd, native.getFlags(fd) & ~APPEND_ONLY);
  native.close(fd);
}

test("a removed file stays hidden if the layer below cannot be reached", () => {
  const { overlay, base, find } = planted({ "lower/d/f": "below", "upper/d/f": "above" });
  const [d] = [find("d"), find("d/f")];
  expect(withFault({ call: "openat", errno: Errno.EMFILE }, () => overlay.unlink(call, d, "f"))).toBe(0);
  expect(kindOf(join(base, "upper/d/f"))).toBe(S.IFCHR);
  expect(find("d/f")).toBe(0);
});

test("a directory whose redirect cannot be followed is not found, instead of without its lower part", () => {
  const moved = directory({ xattrs: { "trusted.overlay.redirect": "/a/b/c" } });
  const { find } = planted({ "lower/a/b/c/f": "below", "upper/moved/": moved, "upper/a": whiteout() });
  expect(withFault({ call: "openat", errno: Errno.EMFILE }, () => find("moved"))).toBe(-Errno.EMFILE);
  expect(find("moved/f")).toBeGreaterThan(0);
});

test("a look-up that fails for another reason than a missing file leaves the known file alone", () => {
  const { find } = planted({ "lower/d/f": "below" });
  const known = find("d/f");
  const d = find("d");
  expect(d).toBeGreaterThan(0);
  expect(withFault({ call: "statx", errno: Errno.EIO, after: 1 }, () => find("d/f"))).toBe(-Errno.EIO);
  expect(find("d/f")).toBe(known);
});

/** A default ACL that gives everybody less than the mode 0666. */
const DEFAULT_ACL = Buffer.from("0200000001000600ffffffff04000400ffffffff20000000ffffffff", "hex");

test("nothing is made over a whiteout if it cannot get the default ACL of its directory", async () => {
  const above = directory({ xattrs: { "system.posix_acl_default": DEFAULT_ACL } });
  const { overlay, base, find } = planted({ "lower/d/f": "below", "upper/d/": above, "upper/d/f": whiteout() });
  const [parent, name] = [find("d"), "f"];
  const create = { mode: S.IFREG | 0o666, umask: 0, flags: O.RDWR, killSuidgid: false };
  const make = { mode: S.IFIFO | 0o666, umask: 0, rdev: 0 };
  for (const fault of ["setxattrat", "getxattrat", "fchmodat"].map((name) => ({ call: name, errno: Errno.EDQUOT }))) {
    const out = { entry: entry(), open: opened() };
    expect(await withFault(fault, () => overlay.create(call, { parent, name }, create, out)), fault.call).toBe(Errno.EDQUOT);
    expect(await withFault(fault, () => overlay.mknod(call, { parent, name }, make, entry())), fault.call).toBe(Errno.EDQUOT);
    expect(kindOf(join(base, "upper/d/f"))).toBe(S.IFCHR);
    expect(readdirSync(join(base, "work/work"))).toEqual([]);
  }
  expect(await overlay.mknod(call, { parent, name }, make, entry())).toBe(0);
  expect(modeOf(join(base, "upper/d/f"))).toBe(0o640);
});

test("a directory that may not change keeps that at its copy-up, or is not copied up", async () => {
  const { overlay, base, find } = planted({ "lower/d/f": "below" });
  const lower = native.openat(AT.FDCWD, join(base, "lower/d"), O.RDONLY, 0);
  expect(native.setFlags(lower, native.getFlags(lower) | IMMUTABLE)).toBe(0);
  try {
    const [d, f] = [find("d"), find("d/f")];
    const open = (): unknown => overlay.open(call, f, O.WRONLY, opened());
    expect(await withFault({ call: "setxattrat", errno: Errno.EDQUOT }, open)).toBe(Errno.EDQUOT);
    expect(readdirSync(join(base, "upper"))).toEqual([]);
    expect(readdirSync(join(base, "work/work"))).toEqual([]);
    expect(await open()).toBe(0);
    expect(await overlay.mkdir(call, { parent: d, name: "new" }, { mode: 0o755, umask: 0, rdev: 0 }, entry())).toBe(Errno.EPERM);
  } finally {
    native.setFlags(lower, native.getFlags(lower) & ~IMMUTABLE);
    native.close(lower);
  }
});

test("an append-only file keeps that at its copy-up, or is not copied up", async () => {
  const { overlay, base, find } = planted({ "lower/f": "below" });
  const lower = native.openat(AT.FDCWD, join(base, "lower/f"), O.RDONLY, 0);
  expect(native.setFlags(lower, native.getFlags(lower) | APPEND_ONLY)).toBe(0);
  try {
    const f = find("f");
    const open = (flags: number): unknown => overlay.open(call, f, flags, opened());
    expect(await withFault({ call: "setFlags", errno: Errno.EDQUOT }, () => open(O.WRONLY | O.APPEND))).toBe(Errno.EDQUOT);
    expect(readdirSync(join(base, "upper"))).toEqual([]);
    expect(readdirSync(join(base, "work/work"))).toEqual([]);
    expect(await open(O.WRONLY | O.APPEND)).toBe(0);
    expect(await open(O.WRONLY)).toBe(Errno.EPERM);
  } finally {
    for (const layer of ["lower", "upper"]) free(join(base, layer, "f"));
    native.close(lower);
  }
});

test("nothing is added to a directory whose protection cannot be read, and the caller gets the reason", async () => {
  const { overlay, find } = planted({
    "upper/free/": directory(),
    "upper/held/": directory({ xattrs: { "trusted.overlay.protattr": "i" } }),
  });
  const [free, held] = [find("free"), find("held")];
  const make = (parent: number): unknown => overlay.mkdir(call, { parent, name: "new" }, { mode: 0o755, umask: 0, rdev: 0 }, entry());
  for (const parent of [free, held]) expect(await withFault({ call: "getxattrat", errno: Errno.EIO }, () => make(parent))).toBe(Errno.EIO);
  expect(await make(free)).toBe(0);
  expect(await make(held)).toBe(Errno.EPERM);
});

test("a directory that a failing disk does not let read is copied up without a protection that it did not have", async () => {
  for (let after = 0; after < 20; after++) {
    const { overlay, find } = planted({ "lower/d/f": "below" });
    const [d, f] = [find("d"), find("d/f")];
    await withFault({ call: "statx", errno: Errno.EIO, after, times: 1 }, () => overlay.open(call, f, O.WRONLY, opened()));
    const made = await overlay.mkdir(call, { parent: d, name: "new" }, { mode: 0o755, umask: 0, rdev: 0 }, entry());
    expect([after, made]).toEqual([after, 0]);
  }
});

test("names that whiteouts hid stay hidden if a rename onto their directory fails", async () => {
  const { overlay, base, find } = planted({
    "lower/source/f": "moves",
    "lower/target/gone": "below",
    "upper/target/gone": whiteout(),
  });
  const target = find("target");
  expect(find("source")).toBeGreaterThan(0);
  const args = { parent: ROOT, name: "source", newParent: ROOT, newName: "target", flags: 0 };
  const rename = (): unknown => overlay.rename(call, args);
  expect(await withFault({ call: "renameat2", errno: Errno.EDQUOT, after: 1 }, rename)).toBe(Errno.EDQUOT);
  expect(find("target")).toBe(target);
  expect(find("target/gone")).toBe(0);
  expect(find("source/f")).toBeGreaterThan(0);
  expect(await rename()).toBe(0);
  expect(kindOf(join(base, "upper/source"))).toBe(S.IFCHR);
  expect(find("target/gone")).toBe(0);
  expect(find("target/f")).toBeGreaterThan(0);
});

test("a copy of the attributes that cannot get its data with its capability stays without data", async () => {
  const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
  const { overlay, base, find } = planted(
    { "lower/f": file("data", { xattrs: { "security.capability": capability } }) },
    { metacopy: true },
  );
  const f = find("f");
  expect(await overlay.setxattr(call, f, { name: "user.a", value: Buffer.from("1"), flags: 0, killSgid: false })).toBe(0);
  const open = (): unknown => overlay.open(call, f, O.WRONLY, opened());
  expect(await withFault({ call: "setxattrat", errno: Errno.EDQUOT }, open)).toBe(Errno.EDQUOT);
  const mark = native.getxattrat(AT.FDCWD, join(base, "upper/f"), "trusted.overlay.metacopy", Buffer.alloc(8));
  expect(mark).toBe(0);
});

test("a copy that has no room for the mark of its origin has another inode number from the next mount on, and no error", async () => {
  const { overlay, base, find } = planted({ "lower/f": "data" });
  const open = (): unknown => overlay.open(call, find("f"), O.WRONLY, opened());
  const numberIn = (mounted: Overlay): number => {
    const found = entry();
    expect(mounted.lookup(call, ROOT, "f", found)).toBe(0);
    return found.attr.ino;
  };
  const [lower, first] = [statSync(join(base, "lower/f")).ino, numberIn(overlay)];
  expect(await withFault({ call: "copyOrigin", errno: Errno.ENOSPC }, open)).toBe(0);
  expect([first, numberIn(overlay)]).toEqual([lower, lower]);
  await overlay.destroy();
  expect(numberIn(overlayOver(base))).toBe(statSync(join(base, "upper/f")).ino);
});

test("the kernel asks for the attributes again after a change of which only a part was made", async () => {
  const stale: number[] = [];
  const { overlay, base, find } = planted({ "upper/f": "data" }, { onStale: (id) => stale.push(id) });
  const f = find("f");
  const none = { uid: undefined, gid: undefined, size: undefined, atime: undefined, mtime: undefined, handle: undefined };
  const set = { ...none, uid: 5, mode: 0o600, killSuidgid: false };
  const change = (): unknown => overlay.setattr(call, f, set, { attr: new Attr(), attrTtlMs: 0 });
  expect(await withFault({ call: "fchmodat", errno: Errno.EDQUOT }, change)).toBe(Errno.EDQUOT);
  expect([statSync(join(base, "upper/f")).uid, stale]).toEqual([5, [f]]);
  expect(await change()).toBe(0);
  expect(stale).toEqual([f]);
});

const nothing = { uid: undefined, gid: undefined, size: undefined, mode: undefined, atime: undefined, mtime: undefined, handle: undefined };
const now = { sec: 0, nsec: UTIME.NOW };
const CHANGES = { owner: { ...nothing, uid: 5 }, mode: { ...nothing, mode: 0o600 }, times: { ...nothing, mtime: now } };

for (const [what, change] of Object.entries(CHANGES)) {
  test(`a change of the ${what} in a directory that cannot be opened any more says why`, async () => {
    // More than the mount keeps open: the first ones are closed after the turn.
    const many = Array.from({ length: 200 }, (_, index) => `d${index}/f`);
    const { overlay, find } = planted(Object.fromEntries(many.map((path) => [`upper/${path}`, "data"])));
    const first = find(many[0] as string);
    for (const path of many) find(path);
    await new Promise(setImmediate);
    const set = { ...change, killSuidgid: false };
    const act = (): unknown => overlay.setattr(call, first, set, { attr: new Attr(), attrTtlMs: 0 });
    expect(await withFault({ call: "openat", errno: Errno.EMFILE }, act)).toBe(Errno.EMFILE);
    expect(await act()).toBe(0);
  });
}

/** By a caller who must not keep the bits. */
const stranger: CallContext = { ...call, uid: 5, gid: 5, killSuidgid: true };
const SUID_FILE = file("data", { mode: 0o4777 });
const BIG = file("x".repeat(8 << 20), { mode: 0o4777 });
const size = { ...nothing, size: 1, killSuidgid: true };
const out = (): { attr: Attr; attrTtlMs: number } => ({ attr: new Attr(), attrTtlMs: 0 });
const written = { length: 0 };
type Step = (overlay: Overlay, f: number, handle: number) => unknown;
const write = { offset: 0, size: 3, data: Buffer.from("new"), fromPage: false, lockOwner: 0n, killSuidgid: true };
const TWO_BYTES = { offsetIn: 0, offsetOut: 2, length: 2, flags: 0 };
const SUID_STEPS: Record<string, Step> = {
  "a write": (overlay, f, handle) => overlay.write(stranger, f, { ...write, handle, flags: O.RDWR }, written),
  "an append": (overlay, f, handle) => overlay.write(stranger, f, { ...write, handle, flags: O.RDWR | O.APPEND }, written),
  "an open that truncates": (overlay, f) => overlay.open(stranger, f, O.WRONLY | O.TRUNC, opened()),
  "a truncation by path": (overlay, f) => overlay.setattr(stranger, f, size, out()),
  "a truncation by descriptor": (overlay, f, handle) => overlay.setattr(stranger, f, { ...size, handle }, out()),
  "an allocation": (overlay, f, handle) => overlay.fallocate(stranger, f, { handle, mode: 0, offset: 0, length: 1 << 20 }),
  "a copy into it": (overlay, f, handle) =>
    overlay.copyFileRange(stranger, f, { ...TWO_BYTES, handleIn: handle, nodeOut: f, handleOut: handle }, written),
  "a change of owner": (overlay, f) => overlay.setattr(stranger, f, { ...nothing, gid: 7, killSuidgid: true }, out()),
};

for (const [what, step] of Object.entries(SUID_STEPS)) {
  for (const [kind, content] of Object.entries({ small: SUID_FILE, large: BIG })) {
    test(`${what} of a ${kind} file changes nothing if its set-user-ID bit cannot be cleared`, async () => {
      const { overlay, base, find } = planted({ "upper/f": content });
      const [f, open] = [find("f"), opened()];
      const path = join(base, "upper/f");
      expect(await overlay.open(call, f, O.RDWR, open)).toBe(0);
      const before = readFileSync(path);
      expect(await withFault({ call: "fchmodat", errno: Errno.EIO }, () => step(overlay, f, open.handle))).toBe(Errno.EIO);
      expect(readFileSync(path).equals(before)).toBe(true);
      expect([modeOf(path), statSync(path).gid]).toEqual([0o4777, 0]);
      expect(await step(overlay, f, open.handle)).toBe(0);
      expect(modeOf(path)).toBe(0o777);
    });
  }
}

for (const [kind, data] of Object.entries({ short: Buffer.from("new"), long: Buffer.alloc(300_000, "n") })) {
  test(`a stranger's ${kind} append to an append-only file takes its set-user-ID bit away, if the file system below lets it`, async () => {
    // ext4 refuses such an append, also of a file that no overlay shows.
    const { overlay, base, find } = planted({ "upper/f": SUID_FILE }, {}, scratch({ on: "tmpfs", sizeMb: 32 }));
    const [path, open] = [join(base, "upper/f"), opened()];
    const fd = native.openat(AT.FDCWD, path, O.RDONLY, 0);
    expect(native.setFlags(fd, native.getFlags(fd) | APPEND_ONLY)).toBe(0);
    const f = find("f");
    expect(await overlay.open(stranger, f, O.WRONLY | O.APPEND, open)).toBe(0);
    const append = { ...write, data, size: data.length, handle: open.handle, flags: O.WRONLY | O.APPEND };
    expect([await overlay.write(stranger, f, append, written), written.length]).toEqual([0, data.length]);
    expect(readFileSync(path).equals(Buffer.concat([Buffer.from("data"), data]))).toBe(true);
    expect(modeOf(path)).toBe(0o777);
    free(path);
    native.close(fd);
  });
}

const truncate = { ...size, size: 0 };
const EMPTYING: Record<string, (overlay: Overlay, f: number) => unknown> = {
  "an open that truncates": (overlay, f) => overlay.open(stranger, f, O.WRONLY | O.TRUNC, opened()),
  "a truncation by path": (overlay, f) => overlay.setattr(stranger, f, truncate, out()),
};

for (const [what, step] of Object.entries(EMPTYING)) {
  test(`${what} leaves a lower file its data if its set-user-ID bit cannot be cleared`, async () => {
    const { overlay, base, find } = planted({ "lower/f": SUID_FILE });
    expect(await withFault({ call: "fchmodat", errno: Errno.EIO }, () => step(overlay, find("f")))).toBe(Errno.EIO);
    expect([readdirSync(join(base, "upper")), readdirSync(join(base, "work/work"))]).toEqual([[], []]);
    expect(await step(overlay, find("f"))).toBe(0);
    expect([modeOf(join(base, "upper/f")), statSync(join(base, "upper/f")).size]).toEqual([0o777, 0]);
  });

  test(`${what} leaves a copy of the attributes its data if its set-user-ID bit cannot be cleared`, async () => {
    const { overlay, base, find } = planted({ "lower/f": SUID_FILE }, { metacopy: true });
    expect(await overlay.setattr(call, find("f"), { ...nothing, uid: 6, killSuidgid: false }, out())).toBe(0);
    expect(await overlay.setattr(call, find("f"), { ...nothing, mode: 0o4777, killSuidgid: false }, out())).toBe(0);
    expect(await withFault({ call: "fchmodat", errno: Errno.EIO }, () => step(overlay, find("f")))).toBe(Errno.EIO);
    const mark = native.getxattrat(AT.FDCWD, join(base, "upper/f"), "trusted.overlay.metacopy", Buffer.alloc(8));
    expect([mark, statSync(join(base, "upper/f")).size]).toEqual([0, 4]);
    expect(await step(overlay, find("f"))).toBe(0);
    expect([modeOf(join(base, "upper/f")), statSync(join(base, "upper/f")).size]).toEqual([0o777, 0]);
  });
}

const LINKED: Tree = { "lower/f": SUID_FILE, "lower/d/g": hardLink("lower/f") };
const CUT_CALLS = ["openat", "openat2", "ftruncate", "fchmodat", "linkat", "setxattrat", "renameat2", "moveKeepingTimes", "fsyncAsync"];

for (const [what, step] of Object.entries(EMPTYING)) {
  for (const [kind, more] of Object.entries({ "without an index": {}, "with an index": { index: "on" as const } })) {
    test(`${what} ${kind} empties a lower file with several names, or fails and leaves its data`, async () => {
      const untouched = planted(LINKED, more);
      const ids = ["f", "d/g"].map(untouched.find);
      const counts = await countCalls(CUT_CALLS, () => step(untouched.overlay, ids[0] as number));
      for (const [call, count] of counts) {
        for (let after = 0; after < count; after++) {
          const { overlay, base, find } = planted(LINKED, more);
          const [f] = [find("f"), find("d/g")];
          const status = await withFault({ call, errno: Errno.ENOSPC, after, times: 1 }, () => step(overlay, f));
          await overlay.destroy();
          const found = entry();
          expect(overlayOver(base, undefined, more).lookup(stranger, ROOT, "f", found)).toBe(0);
          expect([call, after, status, found.attr.size]).toEqual([call, after, status, status === 0 ? 0 : 4]);
        }
      }
    });
  }
}

interface FailingStep {
  tree: Tree;
  calls: readonly string[];
  step(overlay: Overlay, find: (path: string) => number): unknown;
}

const FAILING_STEPS: Record<string, FailingStep> = {
  "a creation over a whiteout": {
    tree: { "lower/d/x": "below", "upper/d/x": whiteout() },
    calls: ["openat", "statx", "getxattrat"],
    step: (overlay, find) => overlay.symlink(call, { parent: find("d"), name: "x" }, "to", entry()),
  },
  "the removal of an emptied directory": {
    tree: { "lower/d/f": "below", "upper/d/f": whiteout() },
    calls: ["openat", "openat2", "getxattrat"],
    step: (overlay) => overlay.rmdir(call, ROOT, "d"),
  },
  "a rename of a directory over a whiteout": {
    tree: { "upper/x/": directory(), "lower/y": "below", "upper/y": whiteout() },
    calls: ["openat", "statx", "getxattrat"],
    step: (overlay) => overlay.rename(call, { parent: ROOT, name: "x", newParent: ROOT, newName: "y", flags: 0 }),
  },
};

for (const [what, { tree, calls, step }] of Object.entries(FAILING_STEPS)) {
  test(`${what} fails with the error of the layer that fails`, async () => {
    const untouched = planted(tree);
    const counts = await countCalls(calls, () => step(untouched.overlay, untouched.find));
    for (const [name, count] of counts) {
      for (let after = 0; after < count; after++) {
        const { overlay, find } = planted(tree);
        const status = await withFault({ call: name, errno: Errno.EMFILE, after, times: 1 }, () => step(overlay, find));
        expect([name, after, Math.abs(status as number)]).toEqual([name, after, status === 0 ? 0 : Errno.EMFILE]);
      }
    }
  });
}

test("the count of links is right after a removal whose first try could not store it", async () => {
  const many: Tree = { "lower/d/f": "data", "lower/d/g": hardLink("lower/d/f"), "lower/e/h": hardLink("lower/d/f") };
  for (let after = 0; after < 12; after++) {
    const { overlay, base, find } = planted(many, { index: "on" });
    const [d] = [find("d"), find("d/f"), find("e/h")];
    const remove = (): unknown => overlay.unlink(call, d, "f");
    const status = await withFault({ call: "setxattrat", errno: Errno.ENOSPC, after, times: 1 }, remove);
    expect([after, status === 0 ? 0 : await remove()]).toEqual([after, 0]);
    await overlay.destroy();
    const [next, parent, found] = [overlayOver(base, undefined, { index: "on" }), entry(), entry()];
    expect(next.lookup(call, ROOT, "d", parent)).toBe(0);
    expect(next.lookup(call, parent.nodeId, "g", found)).toBe(0);
    expect([after, found.attr.nlink]).toEqual([after, 2]);
  }
});
