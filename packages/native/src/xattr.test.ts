import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  AT_FDCWD,
  bytesOf,
  createFile,
  errno,
  makeScratch,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  places,
  type Scratch,
  statOf,
  textOf,
} from "../test/scratch.js";
import { native, STAT_WORDS, StatWord } from "./index.js";
import { raw } from "./raw.js";

const CREATE = 1;
const REPLACE = 2;
const none = new Uint8Array(0);
const cases = Object.entries(places).flatMap(([name, place]) => [false, true].map((old) => ({ name, place, old })));

describe.each(cases)("extended attributes on $name, old kernel: $old", ({ place, old }) => {
  let scratch: Scratch;
  beforeEach(() => {
    raw.assumeOldKernel(old);
    scratch = makeScratch(place);
    native.close(createFile(scratch.dir, "\xfff"));
    native.symlinkat("\xfff", scratch.dir, "link");
    native.symlinkat("dangling", scratch.dir, "dangling");
  });
  afterEach(() => {
    raw.assumeOldKernel(false);
    scratch.remove();
  });

  it("lists more attributes than most objects have", () => {
    const names = Array.from({ length: 30 }, (_, index) => `user.${String(index).padStart(60, "0")}`);
    for (const name of names) expect(native.setxattrat(scratch.dir, "\xfff", name, none, CREATE)).toBe(0);
    const bytes = new Uint8Array(4096);
    const length = native.listxattrat(scratch.dir, "\xfff", bytes);
    expect(textOf(bytes, length).split("\0").filter(Boolean).sort()).toEqual(names);
    expect(native.listxattrat(scratch.dir, "\xfff", new Uint8Array(length - 1))).toBe(-errno.ERANGE);
  });

  it("tells an attribute of a file with its stat, and none of other objects", () => {
    const words = new Uint32Array(STAT_WORDS);
    const asked = (name: string): (number | undefined)[] => {
      const status = native.statWithAttribute(scratch.dir, name, words, "user.a", "");
      return [status, (words[StatWord.attribute] as number) | 0, words[StatWord.mode]];
    };
    const { mode } = statOf(scratch.dir, "\xfff");
    expect(asked("\xfff")).toEqual([0, -errno.ENODATA, mode]);
    for (const length of [0, 7, 128]) {
      native.setxattrat(scratch.dir, "\xfff", "user.a", new Uint8Array(length), 0);
      expect(asked("\xfff")).toEqual([0, length, mode]);
    }
    native.setxattrat(scratch.dir, "\xfff", "user.a", new Uint8Array(129), 0);
    expect(asked("\xfff")).toEqual([0, -errno.ERANGE, mode]);
    const marked = (mark: string): number => native.statWithAttribute(scratch.dir, "\xfff", words, "user.b", mark);
    native.setxattrat(scratch.dir, "\xfff", "user.a", new Uint8Array(128), 0);
    expect([marked("user.a"), marked("user.b"), marked("")]).toEqual([1, 0, 0]);
    expect(asked("link")).toEqual([0, 0, 0o120777]);
    expect(native.statWithAttribute(scratch.dir, "nothing", words, "user.a", "")).toBe(-errno.ENOENT);
    expect(() => native.statWithAttribute(scratch.dir, "link", new Uint32Array(31), "user.a", "")).toThrow(RangeError);
  });

  it("sets, gets, lists and removes by name", () => {
    const value = bytesOf("va\0l\xff");
    expect(native.setxattrat(scratch.dir, "\xfff", "user.a", value, CREATE)).toBe(0);
    expect(native.setxattrat(scratch.dir, "\xfff", "user.a", value, CREATE)).toBe(-errno.EEXIST);
    expect(native.setxattrat(scratch.dir, "\xfff", "user.b", value, REPLACE)).toBe(-errno.ENODATA);
    expect(native.getxattrat(scratch.dir, "\xfff", "user.a", none)).toBe(5);
    expect(native.getxattrat(scratch.dir, "\xfff", "user.a", new Uint8Array(4))).toBe(-errno.ERANGE);
    const bytes = new Uint8Array(16);
    expect(textOf(bytes, native.getxattrat(scratch.dir, "\xfff", "user.a", bytes))).toBe("va\0l\xff");
    expect(textOf(bytes, native.listxattrat(scratch.dir, "\xfff", bytes))).toBe("user.a\0");
    expect(native.listxattrat(scratch.dir, "\xfff", none)).toBe(7);
    expect(native.removexattrat(scratch.dir, "\xfff", "user.a")).toBe(0);
    expect(native.getxattrat(scratch.dir, "\xfff", "user.a", none)).toBe(-errno.ENODATA);
    expect(native.getxattrat(scratch.dir, "nothing", "user.a", none)).toBe(-errno.ENOENT);
  });

  it.each(["link", "dangling"])("means the symlink %s itself, by name and by descriptor", (name) => {
    expect(native.setxattrat(scratch.dir, name, "trusted.t", bytesOf("1"), 0)).toBe(0);
    expect(native.getxattrat(scratch.dir, "\xfff", "trusted.t", none)).toBe(-errno.ENODATA);
    expect(native.setxattrat(scratch.dir, name, "user.u", bytesOf("1"), 0)).toBe(-errno.EPERM);
    const fd = native.openat(scratch.dir, name, O_PATH | O_NOFOLLOW, 0);
    const bytes = new Uint8Array(64);
    expect(native.getxattrat(fd, "", "trusted.t", bytes)).toBe(1);
    expect(native.setxattrat(fd, "", "trusted.t", bytesOf("two"), REPLACE)).toBe(0);
    expect(native.getxattrat(scratch.dir, name, "trusted.t", bytes)).toBe(3);
    expect(textOf(bytes, native.listxattrat(fd, "", bytes))).toContain("trusted.t\0");
    expect(native.removexattrat(fd, "", "trusted.t")).toBe(0);
    expect(native.getxattrat(fd, "", "trusted.t", none)).toBe(-errno.ENODATA);
    native.close(fd);
    expect(native.getxattrat(fd, "", "trusted.t", none)).toBe(-errno.EBADF);
  });

  it("takes any descriptor for the object itself", () => {
    expect(native.setxattrat(scratch.dir, "", "trusted.dir", bytesOf("y"), 0)).toBe(0);
    const path = native.openat(AT_FDCWD, scratch.path, O_PATH, 0);
    const bytes = new Uint8Array(8);
    expect(textOf(bytes, native.getxattrat(path, "", "trusted.dir", bytes))).toBe("y");
    expect(native.removexattrat(path, "", "trusted.dir")).toBe(0);
    expect(native.setxattrat(path, "", "trusted.other", bytesOf("n"), CREATE)).toBe(0);
    expect(textOf(bytes, native.getxattrat(scratch.dir, "", "trusted.other", bytes))).toBe("n");
    native.close(path);
    expect(native.getxattrat(path, "", "trusted.other", none)).toBe(-errno.EBADF);
    const file = native.openat(scratch.dir, "\xfff", O_RDONLY, 0);
    expect(native.getxattrat(file, "", "trusted.dir", none)).toBe(-errno.ENODATA);
    native.close(file);
  });

  it("answers names that no attribute can have", () => {
    expect(native.setxattrat(scratch.dir, "\xfff", `user.${"x".repeat(251)}`, none, 0)).toBe(-errno.ERANGE);
    expect(native.setxattrat(scratch.dir, "\xfff", "nonsense", none, 0)).toBe(-errno.EOPNOTSUPP);
    expect(native.setxattrat(scratch.dir, "\xfff", "user.a\0b", none, 0)).toBe(-errno.EINVAL);
  });
});
