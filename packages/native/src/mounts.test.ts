/** Mounts for real: needs CAP_SYS_ADMIN. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MNT, MOUNT_ATTR, MS, native, OPEN_TREE, openBeneath } from "./index.js";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  bytesOf,
  createFile,
  errno,
  makeScratch,
  O_RDONLY,
  O_RDWR,
  places,
  type Scratch,
  statOf,
} from "../test/scratch.js";

const LOWER = MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOATIME | MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV;
const old = { atimeSec: 1000, atimeNsec: 0, mtimeSec: 2000, mtimeNsec: 0 };

function readByte(dirfd: number, name: string): number {
  const fd = native.openat(dirfd, name, O_RDONLY, 0);
  const count = native.pread(fd, new Uint8Array(1), { offset: 0, length: 1, position: 0 }, 0);
  native.close(fd);
  return count;
}

describe.each(Object.entries(places))("a private clone of a layer on %s", (_, place) => {
  let scratch: Scratch;
  let clone: number;
  beforeEach(() => {
    scratch = makeScratch(place);
    const fd = createFile(scratch.dir, "f");
    native.pwrite(fd, bytesOf("x"), { offset: 0, length: 1, position: 0 }, 0);
    native.close(fd);
    native.utimensat(scratch.dir, "f", old, 0);
    clone = native.openTree(AT_FDCWD, scratch.path, OPEN_TREE.CLONE);
    expect(clone).toBeGreaterThan(2);
    expect(native.mountSetattr(clone, "", AT_EMPTY_PATH, LOWER, MOUNT_ATTR.ATIME_MASK)).toBe(0);
  });
  afterEach(() => {
    native.close(clone);
    scratch.remove();
  });

  it("shows the same files, and lets nobody change them", () => {
    expect(statOf(clone, "f")).toMatchObject({ ino: statOf(scratch.dir, "f").ino, device: statOf(scratch.dir, "f").device });
    expect(statOf(clone, "f").mountId).not.toBe(statOf(scratch.dir, "f").mountId);
    expect(native.openat(clone, "f", O_RDWR, 0)).toBe(-errno.EROFS);
    expect(native.unlinkat(clone, "f", 0)).toBe(-errno.EROFS);
    expect(native.mkdirat(clone, "d", 0o755)).toBe(-errno.EROFS);
    expect(native.fchmodat(clone, "f", 0o777, AT_SYMLINK_NOFOLLOW)).toBe(-errno.EROFS);
    expect(native.setxattrat(clone, "f", "trusted.x", bytesOf("1"), 0)).toBe(-errno.EROFS);
    expect(native.utimensat(clone, "f", old, 0)).toBe(-errno.EROFS);
    const path = native.openat(clone, "f", 0o10000000, 0);
    expect(native.setxattrat(path, "", "trusted.x", bytesOf("1"), 0)).toBe(-errno.EROFS);
    native.close(path);
    const writable = native.openat(scratch.dir, "f", O_RDWR, 0);
    expect(native.close(writable)).toBe(0);
  });

  it("moves no access time, where the original does", () => {
    expect(readByte(clone, "f")).toBe(1);
    expect(statOf(scratch.dir, "f").atimeSec).toBe(1000n);
    expect(readByte(scratch.dir, "f")).toBe(1);
    expect(statOf(scratch.dir, "f").atimeSec).toBeGreaterThan(1000n);
  });
});

describe("mount", () => {
  let scratch: Scratch;
  const at = (name: string): string => `${scratch.path}/${name}`;
  beforeEach(() => {
    scratch = makeScratch(places.tmpfs);
    native.mkdirat(scratch.dir, "m", 0o755);
    expect(native.mount("sluice-test", at("m"), "tmpfs", MS.NOSUID | MS.NODEV, "size=1m")).toBe(0);
    native.mkdirat(AT_FDCWD, at("m/sub"), 0o755);
  });
  afterEach(() => {
    native.umount2(at("attached"), MNT.DETACH);
    native.umount2(at("m/sub"), MNT.DETACH);
    native.umount2(at("m"), MNT.DETACH);
    scratch.remove();
  });

  it("mounts, is crossed by no path from beneath, and unmounts", async () => {
    expect(openBeneath(scratch.dir, "m/sub", O_RDONLY, 0)).toBe(-errno.EXDEV);
    expect(statOf(scratch.dir, "m").device).not.toBe(statOf(scratch.dir, "").device);
    const busy = native.openat(AT_FDCWD, at("m"), O_RDONLY, 0);
    expect(await native.umount2Async(at("m"), 0)).toBe(-16);
    native.close(busy);
    expect(await native.umount2Async(at("m"), MNT.UMOUNT_NOFOLLOW)).toBe(0);
    expect(native.umount2(at("m"), 0)).toBe(-errno.EINVAL);
    expect(native.mount("x", at("m"), "no-such-type", 0, "")).toBe(-errno.ENODEV);
    expect(native.mount("x", at("m"), "tmpfs", 0, "x".repeat(5000))).toBe(-errno.ENAMETOOLONG);
  });

  it("keeps what is mounted later out of a clone, though the original is shared", () => {
    expect(native.mount("none", at("m"), "", MS.SHARED, "")).toBe(0);
    const clone = native.openTree(AT_FDCWD, at("m"), OPEN_TREE.CLONE);
    expect(native.mount("sluice-test", at("m/sub"), "tmpfs", 0, "size=1m")).toBe(0);
    native.close(createFile(AT_FDCWD, at("m/sub/later")));
    expect(native.statx(clone, "sub/later", 0, new Uint32Array(32))).toBe(-errno.ENOENT);
    expect(native.statx(AT_FDCWD, at("m/sub/later"), 0, new Uint32Array(32))).toBe(0);
    native.close(clone);
  });

  it("keeps it out also once the clone is attached somewhere", () => {
    expect(native.mount("none", at("m"), "", MS.SHARED, "")).toBe(0);
    const clone = native.openTree(AT_FDCWD, at("m"), OPEN_TREE.CLONE);
    native.mkdirat(scratch.dir, "attached", 0o755);
    const bound = native.mount(`/proc/self/fd/${clone}`, at("attached"), "", MS.BIND, "");
    native.close(clone);
    // Before Linux 6.15 a detached mount cannot be bound at all: there is nothing to keep out.
    if (bound === -errno.EINVAL) return;
    expect(native.mount("sluice-test", at("m/sub"), "tmpfs", 0, "size=1m")).toBe(0);
    native.close(createFile(AT_FDCWD, at("m/sub/later")));
    expect(native.statx(AT_FDCWD, at("attached/sub/later"), 0, new Uint32Array(32))).toBe(-errno.ENOENT);
  });
});
