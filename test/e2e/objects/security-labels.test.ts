/**
 * Labels that a security module wants on new objects (FUSE_SECURITY_CTX) are set before the object has its name. The kernel
 * sends them only if SELinux or Smack is in force, which is so on none of our machines. So this test calls the overlay as the
 * engine would, over real layers. Tests in packages/fuse-protocol cover the way from bytes to labels.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { native } from "@sluice/native";
import type { Overlay } from "@sluice/overlay";
import { directory, plant, requires, scratch, whiteout } from "@sluice/testkit";
import { AT, Attr, type CallContext, Errno, O, S, type SecurityLabel } from "@sluice/vfs";
import { expect } from "vitest";
import { entry, opened, overlayOver } from "../harness/bare-overlay.js";

const { test } = requires("CAP_SYS_ADMIN");
const LABEL = "security.sluice-test";
const OWNER = 1000;

function planted(): { overlay: Overlay; upper: string } {
  const base = scratch();
  plant(base, {
    "lower/merged/": directory({ mode: 0o2777, gid: 7 }),
    "upper/merged/": directory({ mode: 0o2777, gid: 7 }),
    "upper/merged/gone": whiteout(),
    "upper/merged/away": whiteout(),
    "upper/merged/there": "already",
  });
  mkdirSync(join(base, "work"));
  return { overlay: overlayOver(base), upper: join(base, "upper") };
}

function caller(labels: readonly SecurityLabel[]): CallContext {
  return { uid: OWNER, gid: OWNER, pid: 1, groups: undefined, labels, signal: new AbortController().signal };
}

function labelOf(upper: string, name: string): string {
  const bytes = Buffer.alloc(64);
  const length = native.getxattrat(AT.FDCWD, join(upper, "merged", name), LABEL, bytes);
  return length < 0 ? `errno ${-length}` : bytes.toString("latin1", 0, length);
}

test("every kind of object has its label, its owner and its directory's group, also over whiteouts", async () => {
  const { overlay, upper } = planted();
  const call = caller([{ name: LABEL, value: Buffer.from("label") }]);
  const found = entry();
  expect(overlay.lookup(call, 1, "merged", found)).toBe(0);
  const parent = found.nodeId;
  const make = { mode: S.IFIFO | 0o640, umask: 0o022, rdev: 0 };
  const create = { mode: S.IFREG | 0o666, umask: 0o027, flags: O.RDWR, killSuidgid: false };
  const out = { entry: entry(), open: opened() };
  expect(await overlay.mknod(call, { parent, name: "fifo" }, make, entry())).toBe(0);
  expect(await overlay.mkdir(call, { parent, name: "dir" }, { ...make, mode: 0o777 }, entry())).toBe(0);
  expect(await overlay.mkdir(call, { parent, name: "gone" }, { ...make, mode: 0o777 }, entry())).toBe(0);
  expect(await overlay.symlink(call, { parent, name: "link" }, "dir", entry())).toBe(0);
  expect(await overlay.create(call, { parent, name: "away" }, create, out)).toBe(0);
  expect(await overlay.create(call, { parent, name: "file" }, create, out)).toBe(0);
  expect(await overlay.create(call, { parent, name: "there" }, create, out)).toBe(Errno.EEXIST);
  const attr = new Attr();
  for (const [name, mode] of Object.entries({ fifo: 0o640, dir: 0o2755, gone: 0o2755, link: 0o777, away: 0o640, file: 0o640 })) {
    expect(labelOf(upper, name), name).toBe("label");
    expect(native.statx(AT.FDCWD, join(upper, "merged", name), AT.SYMLINK_NOFOLLOW, attr.words)).toBe(0);
    expect([attr.mode & 0o7777, attr.uid, attr.gid], name).toEqual([mode, OWNER, 7]);
  }
  expect(labelOf(upper, "there")).toBe("errno 61");
  const nameless = { entry: entry(), open: opened() };
  expect(await overlay.tmpfile(call, parent, create, nameless)).toBe(0);
  const bytes = Buffer.alloc(64);
  const value = { reserve: (size: number) => bytes.subarray(0, size), length: 0 };
  expect(await overlay.getxattr(call, nameless.entry.nodeId, { name: LABEL, size: 64 }, value as never)).toBe(0);
  expect(bytes.toString("latin1", 0, value.length)).toBe("label");
});

test("an object that cannot be labelled is not made", async () => {
  const { overlay, upper } = planted();
  const found = entry();
  const call = caller([{ name: "user.", value: Buffer.from("x") }]);
  expect(overlay.lookup(call, 1, "merged", found)).toBe(0);
  const at = { parent: found.nodeId, name: "file" };
  const create = { mode: S.IFREG | 0o666, umask: 0, flags: O.RDWR, killSuidgid: false };
  expect(await overlay.create(call, at, create, { entry: entry(), open: opened() })).toBe(Errno.EINVAL);
  expect(await overlay.mkdir(call, { ...at, name: "dir" }, { mode: 0o777, umask: 0, rdev: 0 }, entry())).toBe(Errno.EINVAL);
  const attr = new Attr();
  for (const name of ["file", "dir"]) {
    expect(native.statx(AT.FDCWD, join(upper, "merged", name), AT.SYMLINK_NOFOLLOW, attr.words)).toBe(-Errno.ENOENT);
  }
});
