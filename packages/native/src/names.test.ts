import { lstatSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  createFile,
  errno,
  makeScratch,
  O_CREAT,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  places,
  type Scratch,
  statOf,
  textOf,
} from "../test/scratch.js";
import { native, parseDirents, STAT_WORDS, StatWord } from "./index.js";
import { raw } from "./raw.js";

const S_IFCHR = 0o020000;
const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;
const hostile = ["\xff\xfe\x80", "a\nb", "\x01 -rf", "é", "\xf0\x9f\x98\x80", "x".repeat(255), "\xff".repeat(255)];

describe.each(Object.entries(places))("names on %s", (_, place) => {
  let scratch: Scratch;
  const make = (name: string, mode?: number): void => void native.close(createFile(scratch.dir, name, mode));
  beforeEach(() => {
    scratch = makeScratch(place);
  });
  afterEach(() => {
    raw.assumeOldKernel(false);
    scratch.remove();
  });

  it("keeps every byte of a name through create, list, rename, link and unlink", () => {
    for (const name of hostile) make(name);
    expect(list(scratch.dir).sort()).toEqual([".", "..", ...hostile].sort());
    for (const name of hostile) {
      expect(native.renameat2(scratch.dir, name, scratch.dir, "moved", 1)).toBe(0);
      expect(native.linkat(scratch.dir, "moved", scratch.dir, name, 0)).toBe(0);
      expect(statOf(scratch.dir, name).nlink).toBe(2);
      expect(native.unlinkat(scratch.dir, "moved", 0)).toBe(0);
    }
    expect(list(scratch.dir).sort()).toEqual([".", "..", ...hostile].sort());
  });

  it("answers a name that is too long or holds a NUL with the errno", () => {
    expect(native.openat(scratch.dir, "x".repeat(256), O_CREAT, 0o600)).toBe(-errno.ENAMETOOLONG);
    expect(native.openat(scratch.dir, "./".repeat(2047) + "x", O_CREAT, 0o600)).toBeGreaterThan(0);
    expect(native.openat(scratch.dir, "./".repeat(2047) + "xy", O_CREAT, 0o600)).toBe(-errno.ENAMETOOLONG);
    expect(native.openat(scratch.dir, "x".repeat(100_000), O_CREAT, 0o600)).toBe(-errno.ENAMETOOLONG);
    expect(native.openat(scratch.dir, "a\0b", O_CREAT, 0o600)).toBe(-errno.EINVAL);
    expect(list(scratch.dir).sort()).toEqual([".", "..", "x"]);
  });

  it("refuses characters that are not bytes, above all those whose low byte is a slash", () => {
    expect(() => native.openat(scratch.dir, "a\u012fb", O_RDONLY, 0)).toThrow(TypeError);
    expect(() => native.mkdirat(scratch.dir, "\u{1f600}", 0o755)).toThrow(TypeError);
  });

  it("opens close-on-exec, never following where told not to", () => {
    expect(native.symlinkat("target", scratch.dir, "link")).toBe(0);
    expect(native.openat(scratch.dir, "link", O_RDONLY | O_NOFOLLOW, 0)).toBe(-errno.ELOOP);
    const fd = native.openat(scratch.dir, "link", O_PATH | O_NOFOLLOW, 0);
    const bytes = new Uint8Array(64);
    expect(textOf(bytes, native.readlinkat(fd, "", bytes))).toBe("target");
    expect(textOf(bytes, native.readlinkat(scratch.dir, "link", bytes))).toBe("target");
    const duplicate = native.dupfd(fd);
    for (const open of [fd, duplicate]) expect(closeOnExec(open)).toBe(true);
    for (const open of [fd, duplicate]) expect(native.close(open)).toBe(0);
    expect(native.close(fd)).toBe(-errno.EBADF);
  });

  it("puts one descriptor in another's place, open over exec", () => {
    const [fd, onto] = [native.openat(scratch.dir, ".", O_PATH, 0), native.openat(scratch.dir, ".", O_RDONLY, 0)];
    expect(native.dup2(fd, onto)).toBe(onto);
    expect(closeOnExec(onto)).toBe(false);
    expect(native.getdents64(onto, new Uint8Array(64))).toBe(-errno.EBADF);
    for (const open of [fd, onto]) expect(native.close(open)).toBe(0);
    expect(native.dup2(fd, onto)).toBe(-errno.EBADF);
  });

  it("makes directories, devices and pipes, and removes them", () => {
    expect(native.mkdirat(scratch.dir, "d", 0o700)).toBe(0);
    expect(native.mknodat(scratch.dir, "whiteout", S_IFCHR, 0, 0)).toBe(0);
    expect(native.mknodat(scratch.dir, "device", S_IFCHR | 0o600, 300, 70_000)).toBe(0);
    expect(native.mknodat(scratch.dir, "pipe", 0o010600, 0, 0)).toBe(0);
    const device = statOf(scratch.dir, "device");
    expect(device.rdev).toBe((70_000 & 0xff) | (300 << 8) | ((70_000 & ~0xff) << 12));
    expect(lstatSync(`${scratch.path}/device`).mode).toBe(device.mode);
    expect(statOf(scratch.dir, "whiteout")).toMatchObject({ mode: S_IFCHR, rdev: 0 });
    expect(native.unlinkat(scratch.dir, "d", 0)).toBe(-errno.EISDIR);
    expect(native.unlinkat(scratch.dir, "d", 0x200)).toBe(0);
  });

  it("stats exactly what node's own stat sees", () => {
    make("f", 0o640);
    const ours = statOf(scratch.dir, "f");
    const theirs = statSync(`${scratch.path}/f`, { bigint: true });
    expect(ours).toMatchObject({ ino: theirs.ino, mode: Number(theirs.mode), size: theirs.size, nlink: 1 });
    expect(ours.mtimeSec * 1_000_000_000n + BigInt(ours.mtimeNsec)).toBe(theirs.mtimeNs);
    expect(ours.mountId).toBe(statOf(scratch.dir, "").mountId);
    expect(native.statx(scratch.dir, "nothing", 0, new Uint32Array(32))).toBe(-errno.ENOENT);
    expect(() => native.statx(scratch.dir, "f", 0, new Uint32Array(31))).toThrow(RangeError);
  });

  it("stats a path from the kernel's caches", () => {
    make("f", 0o640);
    const [cached, asked] = [new Uint32Array(32), new Uint32Array(32)];
    expect(native.statx(AT_FDCWD, `${scratch.path}/f`, 0, asked)).toBe(0);
    expect(native.statCached(`${scratch.path}/f`, cached)).toBe(0);
    expect([...cached]).toEqual([...asked]);
    // A name that nobody looked up yet is not looked up for this.
    expect([-errno.ENOENT, -errno.EAGAIN]).toContain(native.statCached(`${scratch.path}/nothing`, cached));
    expect(() => native.statCached("/", new Uint32Array(31))).toThrow(RangeError);
  });

  it("exchanges and refuses to replace", () => {
    make("a");
    expect(native.mkdirat(scratch.dir, "b", 0o755)).toBe(0);
    expect(native.renameat2(scratch.dir, "a", scratch.dir, "b", 1)).toBe(-errno.EEXIST);
    expect(native.renameat2(scratch.dir, "a", scratch.dir, "b", 2)).toBe(0);
    expect(statOf(scratch.dir, "a").mode & 0o170000).toBe(0o040000);
    expect(native.renameat2(scratch.dir, "b", scratch.dir, "c", 4)).toBe(0);
    expect(statOf(scratch.dir, "b")).toMatchObject({ mode: S_IFCHR, rdev: 0 });
  });

  it.each([false, true])("changes the mode of a name, of a descriptor, and of no symlink (old kernel: %s)", (old) => {
    raw.assumeOldKernel(old);
    make("f");
    native.symlinkat("f", scratch.dir, "link");
    expect(native.fchmodat(scratch.dir, "f", 0o4711, AT_SYMLINK_NOFOLLOW)).toBe(0);
    expect(statOf(scratch.dir, "f").mode & 0o7777).toBe(0o4711);
    expect(native.fchmodat(scratch.dir, "link", 0o600, AT_SYMLINK_NOFOLLOW)).toBe(-errno.EOPNOTSUPP);
    expect(native.fchmodat(scratch.dir, "link", 0o604, 0)).toBe(0);
    expect(statOf(scratch.dir, "f").mode & 0o7777).toBe(0o604);
    const path = native.openat(scratch.dir, "f", O_PATH | O_NOFOLLOW, 0);
    expect(native.fchmodat(path, "", 0o640, AT_EMPTY_PATH)).toBe(0);
    expect(statOf(scratch.dir, "f").mode & 0o7777).toBe(0o640);
    native.close(path);
    expect(native.fchmodat(path, "", 0o640, AT_EMPTY_PATH)).toBe(-errno.EBADF);
    expect(native.fchmodat(scratch.dir, "nothing", 0o640, AT_SYMLINK_NOFOLLOW)).toBe(-errno.ENOENT);
  });

  it("changes owners of files and links, and leaves an id that is -1", () => {
    native.symlinkat("nowhere", scratch.dir, "link");
    expect(native.fchownat(scratch.dir, "link", 1000, 1001, AT_SYMLINK_NOFOLLOW)).toBe(0);
    expect(native.fchownat(scratch.dir, "link", -1, 4_294_967_294, AT_SYMLINK_NOFOLLOW)).toBe(0);
    expect(statOf(scratch.dir, "link")).toMatchObject({ uid: 1000, gid: 4_294_967_294 });
  });

  it("sets times before 1970 and beyond 2038, and omits", () => {
    make("f");
    const early = { atimeSec: -86_400, atimeNsec: 999_999_999, mtimeSec: -2_000_000_000, mtimeNsec: 1 };
    expect(native.utimensat(scratch.dir, "f", early, AT_SYMLINK_NOFOLLOW)).toBe(0);
    expect(statOf(scratch.dir, "f")).toMatchObject({ atimeSec: -86_400n, atimeNsec: 999_999_999, mtimeSec: -2_000_000_000n, mtimeNsec: 1 });
    const path = native.openat(scratch.dir, "f", O_PATH, 0);
    const late = { atimeSec: 0, atimeNsec: UTIME_OMIT, mtimeSec: 5_000_000_000, mtimeNsec: 7 };
    expect(native.utimensat(path, "", late, AT_EMPTY_PATH)).toBe(0);
    expect(statOf(scratch.dir, "f")).toMatchObject({ atimeSec: -86_400n, mtimeSec: 5_000_000_000n, mtimeNsec: 7 });
    const now = { atimeSec: 0, atimeNsec: UTIME_NOW, mtimeSec: 0, mtimeNsec: UTIME_OMIT };
    expect(native.utimensat(path, "", now, AT_EMPTY_PATH)).toBe(0);
    expect(statOf(scratch.dir, "f").atimeSec).toBeGreaterThan(1_700_000_000n);
    native.close(path);
  });

  it("finds a file again by its handle, and a stale one not at all", () => {
    make("f");
    const bytes = new Uint8Array(128);
    const packed = native.nameToHandleAt(scratch.dir, "f", 0, bytes);
    expect(packed).toBeGreaterThan(0);
    const handle = bytes.slice(0, packed & 0xffff);
    const fd = native.openByHandleAt(scratch.dir, packed >> 16, handle, O_RDONLY);
    expect(statOf(fd, "").ino).toBe(statOf(scratch.dir, "f").ino);
    native.close(fd);
    const words = new Uint32Array(STAT_WORDS);
    const path = Buffer.alloc(4096);
    const length = native.statByHandle(scratch.dir, packed >> 16, handle, words, path);
    expect(path.toString("latin1", 0, length)).toBe(join(scratch.path, "f"));
    expect(words[StatWord.inoLo]).toBe(Number(statOf(scratch.dir, "f").ino & 0xffff_ffffn));
    expect(native.statByHandle(scratch.dir, packed >> 16, handle, words, path.subarray(0, 5))).toBe(5);
    expect(() => native.statByHandle(scratch.dir, packed >> 16, handle, new Uint32Array(31), path)).toThrow(RangeError);
    expect(native.nameToHandleAt(scratch.dir, "f", 0, new Uint8Array(1))).toBe(-75);
    native.unlinkat(scratch.dir, "f", 0);
    expect(native.statByHandle(scratch.dir, packed >> 16, handle, words, path)).toBe(-116);
    expect(native.openByHandleAt(scratch.dir, packed >> 16, handle, O_RDONLY)).toBe(-116);
    expect(native.openByHandleAt(scratch.dir, 1, new Uint8Array(200), O_RDONLY)).toBe(-errno.EINVAL);
  });

  it("lists a directory of many names in pieces", () => {
    const names = Array.from({ length: 300 }, (_unused, at) => `${"n".repeat(at % 40)}${at}`);
    for (const name of names) make(name);
    expect(list(scratch.dir, 1024).sort()).toEqual([".", "..", ...names].sort());
  });

  it("gives cookies from which a listing goes on", () => {
    for (const name of ["a", "b", "c", "d"]) make(name);
    const buffer = new Uint8Array(4096);
    const seen: { name: string; offset: number | bigint }[] = [];
    native.lseek(scratch.dir, 0, 0);
    parseDirents(buffer, native.getdents64(scratch.dir, buffer), (...[name, , , , offset]) => seen.push({ name, offset }));
    native.lseek(scratch.dir, seen[2]?.offset ?? 0, 0);
    const rest: string[] = [];
    parseDirents(buffer, native.getdents64(scratch.dir, buffer), (name) => rest.push(name));
    expect(rest).toEqual(seen.slice(3).map((entry) => entry.name));
  });
});

describe("arguments", () => {
  it("throws for a wrong kind or too few, and touches nothing", () => {
    const call = native as unknown as Record<string, (...values: unknown[]) => unknown>;
    expect(() => call["openat"]?.(AT_FDCWD, Buffer.from("x"), 0, 0)).toThrow(/argument 2 must be a byte string/);
    expect(() => call["close"]?.("3")).toThrow(/argument 1 must be a number/);
    expect(() => call["close"]?.()).toThrow(/too few/);
    expect(() => call["statx"]?.(AT_FDCWD, "/", 0, new Uint8Array(128))).toThrow(/argument 4/);
    expect(() => call["statx"]?.(AT_FDCWD, "/", 0, {})).toThrow(/argument 4/);
  });
});

function list(dir: number, sizeBytes = 32_768): string[] {
  const buffer = new Uint8Array(sizeBytes);
  const names: string[] = [];
  native.lseek(dir, 0, 0);
  for (;;) {
    const length = native.getdents64(dir, buffer);
    if (length <= 0) return names;
    parseDirents(buffer, length, (name) => names.push(name));
  }
}

function closeOnExec(fd: number): boolean {
  const bytes = new Uint8Array(256);
  const info = native.openat(AT_FDCWD, `/proc/self/fdinfo/${fd}`, O_RDONLY, 0);
  const text = textOf(bytes, native.pread(info, bytes, { offset: 0, length: 256, position: 0 }, 0));
  native.close(info);
  const flags = Number.parseInt(/flags:\s*(\d+)/.exec(text)?.[1] ?? "", 8);
  return (flags & 0o2000000) !== 0;
}
