/** The steps of a copy-up that are one call each. */
import { readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  createFile,
  errno,
  makeScratch,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  places,
  type Scratch,
  statOf,
} from "../test/scratch.js";
import { native, STAT_WORDS } from "./index.js";

const EMPTY_PATH_NOFOLLOW = 0x1100;
/** Several pieces, and a rest. */
const LENGTH = 150_001;

describe.each(Object.entries(places))("copy-ups on %s", (_name, place) => {
  let scratch: Scratch;
  let source: number;
  let target: number;
  beforeEach(() => {
    scratch = makeScratch(place);
    source = createFile(scratch.dir, "source");
    target = createFile(scratch.dir, "target");
  });
  afterEach(() => {
    native.close(source);
    native.close(target);
    scratch.remove();
  });

  function modeAndTimes(name: string): (number | bigint)[] {
    const { mode, atimeSec, atimeNsec, mtimeSec, mtimeNsec } = statOf(scratch.dir, name);
    return [mode, atimeSec, atimeNsec, mtimeSec, mtimeNsec];
  }

  it("copy all bytes of a file, and say how many there were", () => {
    const bytes = Uint8Array.from({ length: LENGTH }, (_, at) => (at * 7 + (at >>> 8)) & 0xff);
    native.pwrite(source, bytes, { offset: 0, length: LENGTH, position: 0 }, 0);
    expect(native.copyBytes(target, source, 100)).toBe(100);
    expect(statOf(scratch.dir, "target").size).toBe(100n);
    expect(native.copyBytes(target, source, LENGTH + 5)).toBe(LENGTH);
    const copied = new Uint8Array(LENGTH);
    expect(native.pread(target, copied, { offset: 0, length: LENGTH, position: 0 }, 0)).toBe(LENGTH);
    expect(Buffer.compare(copied, bytes)).toBe(0);
    expect(native.copyBytes(scratch.dir, source, 1)).toBe(-errno.EBADF);
    expect(native.copyBytes(target, scratch.dir, 1)).toBe(-errno.EISDIR);
  });

  it("take the mode and times of a file, times before 1970 among them", () => {
    const words = new Uint32Array(STAT_WORDS);
    native.fchmodat(scratch.dir, "source", 0o6751, 0);
    native.utimensat(scratch.dir, "source", { atimeSec: -5, atimeNsec: 4, mtimeSec: 1_234_567_890, mtimeNsec: 999_999_999 }, 0);
    native.statx(source, "", EMPTY_PATH_NOFOLLOW, words);
    expect(native.setModeAndTimes(target, words)).toBe(0);
    expect(modeAndTimes("target")).toEqual(modeAndTimes("source"));
    expect(modeAndTimes("target").slice(0, 2)).toEqual([0o106751, -5n]);
    expect(() => native.setModeAndTimes(target, new Uint32Array(4))).toThrow(RangeError);
  });

  it("take a symlink's times, and leave the mode of its target", () => {
    const words = new Uint32Array(STAT_WORDS);
    native.symlinkat("target", scratch.dir, "link");
    native.symlinkat("target", scratch.dir, "other");
    native.utimensat(scratch.dir, "link", { atimeSec: 7, atimeNsec: 0, mtimeSec: 8, mtimeNsec: 9 }, 0x100);
    native.statx(scratch.dir, "link", 0x100, words);
    const other = native.openat(scratch.dir, "other", O_PATH | O_NOFOLLOW, 0);
    const before = statOf(scratch.dir, "target");
    expect(native.setModeAndTimes(other, words)).toBe(0);
    native.close(other);
    expect(modeAndTimes("other")).toEqual(modeAndTimes("link"));
    expect(statOf(scratch.dir, "target")).toEqual(before);
  });

  it("make a file with the first bytes of another one, and none that would be incomplete", () => {
    const bytes = Uint8Array.from({ length: LENGTH }, (_, at) => (at * 5) & 0xff);
    native.pwrite(source, bytes, { offset: 0, length: LENGTH, position: 0 }, 0);
    const made = native.makeCopy(scratch.dir, "made", 0o6750, source, LENGTH, false);
    const copied = new Uint8Array(LENGTH);
    expect(native.pread(made, copied, { offset: 0, length: LENGTH, position: 0 }, 0)).toBe(LENGTH);
    expect(Buffer.compare(copied, bytes)).toBe(0);
    native.close(made);
    // suid and sgid come with the owner.
    expect(statOf(scratch.dir, "made").mode).toBe(0o100000 | (0o750 & ~process.umask()));
    expect(native.makeCopy(scratch.dir, "made", 0o600, source, 0, false)).toBe(-errno.EEXIST);
    expect(native.makeCopy(scratch.dir, "longer", 0o600, source, LENGTH + 1, false)).toBe(-errno.EIO);
    expect(native.makeCopy(scratch.dir, "of none", 0o600, scratch.dir, 1, true)).toBe(-errno.EISDIR);
    expect(readdirSync(scratch.path).toSorted()).toEqual(["made", "source", "target"]);
  });

  it.each([
    ["of root", 0, 0o640],
    ["of somebody else", 12_345, 0o640],
    ["with suid and sgid", 12_345, 0o6755],
    ["with the mode that the copy was made with", 0, 0o600],
    ["with a mode that the umask narrows", 0, 0o666],
  ])("take owner, mode and times of a file %s", (_name, id, mode) => {
    const words = new Uint32Array(STAT_WORDS);
    native.fchownat(source, "", id, id, AT_EMPTY_PATH);
    native.fchmodat(source, "", mode, AT_EMPTY_PATH);
    native.utimensat(source, "", { atimeSec: -5, atimeNsec: 4, mtimeSec: 1_234_567_890, mtimeNsec: 999_999_999 }, AT_EMPTY_PATH);
    native.statx(source, "", EMPTY_PATH_NOFOLLOW, words);
    const made = native.makeCopy(scratch.dir, "made", mode, source, 0, false);
    expect(native.copyAttributes(made, source, words)).toBe(0);
    native.close(made);
    expect(modeAndTimes("made")).toEqual(modeAndTimes("source"));
    expect(statOf(scratch.dir, "made")).toMatchObject({ uid: id, gid: id, mode: 0o100000 | mode });
  });

  it("take suid and sgid that the change of the owner took away", () => {
    const words = new Uint32Array(STAT_WORDS);
    native.fchownat(source, "", 12_345, 12_345, AT_EMPTY_PATH);
    for (const fd of [source, target]) native.fchmodat(fd, "", 0o6755, AT_EMPTY_PATH);
    native.statx(source, "", EMPTY_PATH_NOFOLLOW, words);
    expect(native.copyAttributes(target, source, words)).toBe(0);
    expect(statOf(scratch.dir, "target")).toMatchObject({ uid: 12_345, gid: 12_345, mode: 0o106755 });
  });

  it("leave mode and times to the caller if the file has extended attributes", () => {
    const words = new Uint32Array(STAT_WORDS);
    native.fchownat(source, "", 7, 7, AT_EMPTY_PATH);
    native.setxattrat(source, "", "trusted.sluice", Uint8Array.of(1), 0);
    native.statx(source, "", EMPTY_PATH_NOFOLLOW, words);
    const before = statOf(scratch.dir, "target");
    expect(native.copyAttributes(target, source, words)).toBe(1);
    expect(statOf(scratch.dir, "target")).toMatchObject({ uid: 7, gid: 7, mode: before.mode, mtimeNsec: before.mtimeNsec });
  });

  it("complete a mark with the file's handle, and write it", () => {
    const mark = new Uint8Array(149).fill(0xee);
    expect(native.copyOrigin(target, source, "trusted.origin", mark)).toBe(0);
    const handle = new Uint8Array(128);
    const both = native.nameToHandleAt(source, "", AT_EMPTY_PATH, handle);
    const [length, type] = [21 + (both & 0xffff), both >>> 16];
    expect([mark[2], mark[4]]).toEqual([length, type]);
    expect(mark.slice(21, length)).toEqual(handle.slice(0, both & 0xffff));
    const written = new Uint8Array(200);
    expect(native.getxattrat(target, "", "trusted.origin", written)).toBe(length);
    expect(written.slice(0, length)).toEqual(mark.slice(0, length));
    expect(() => native.copyOrigin(target, source, "trusted.origin", new Uint8Array(21))).toThrow(RangeError);
  });

  it("leave a mark without length for an object without a handle", () => {
    const mark = new Uint8Array(149);
    const proc = native.openat(AT_FDCWD, "/proc/self/status", O_RDONLY, 0);
    expect(native.copyOrigin(target, proc, "trusted.origin", mark)).toBe(0);
    expect(mark[2]).toBe(0);
    expect(native.getxattrat(target, "", "trusted.origin", mark)).toBe(-errno.ENODATA);
    native.close(proc);
  });

  it("move a file into a directory whose times stay, and replace nothing", () => {
    native.mkdirat(scratch.dir, "into", 0o700);
    native.utimensat(scratch.dir, "into", { atimeSec: 5, atimeNsec: 6, mtimeSec: 7, mtimeNsec: 8 }, 0);
    const into = native.openat(scratch.dir, "into", O_PATH | O_RDONLY, 0);
    const before = modeAndTimes("into");
    expect(native.moveKeepingTimes(scratch.dir, "source", into, "moved")).toBe(0);
    expect(modeAndTimes("into")).toEqual(before);
    expect(native.moveKeepingTimes(scratch.dir, "target", into, "moved")).toBe(-errno.EEXIST);
    expect(native.moveKeepingTimes(scratch.dir, "nothing", into, "other")).toBe(-errno.ENOENT);
    native.close(into);
  });
});
