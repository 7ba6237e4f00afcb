import { describe, expect, it } from "vitest";
import { AT_FDCWD, createFile, errno, makeScratch, O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, places, statOf } from "../test/scratch.js";
import { check, Fd, NativeError, native, openBeneath } from "./index.js";

const open = (path: string): number => native.openat(AT_FDCWD, path, O_RDONLY, 0);

describe("Fd", () => {
  it("closes once; afterwards its number cannot be had", () => {
    const fd = Fd.own(open("/"), "open the root");
    const number = fd.number;
    expect(fd.isOpen).toBe(true);
    expect(fd.close()).toBe(0);
    expect(fd.isOpen).toBe(false);
    expect(native.close(number)).toBe(-errno.EBADF);
    expect(() => fd.close()).toThrow(/closed/);
    expect(() => fd.number).toThrow(/closed/);
  });

  it("gives its number away without closing it", () => {
    const fd = new Fd(open("/"));
    const number = fd.release();
    expect(() => fd.close()).toThrow(/closed/);
    expect(native.close(number)).toBe(0);
  });

  it("owns no errno", () => {
    expect(() => new Fd(-2)).toThrow(RangeError);
    expect(() => Fd.own(open("/nothing-here"), "open it")).toThrow(new NativeError(errno.ENOENT, "open it"));
  });
});

describe("check", () => {
  it("names the object and the errno", () => {
    expect(check(3, "do it")).toBe(3);
    expect(() => check(-30, "mount /srv")).toThrow("cannot mount /srv: EROFS");
    expect(new NativeError(99_999, "x").code).toContain("99999");
    expect(new NativeError(2, "x")).toMatchObject({ errno: 2, code: "ENOENT" });
  });
});

describe("openBeneath", () => {
  it("opens below the root and nowhere else", () => {
    const scratch = makeScratch(places.tmpfs);
    native.mkdirat(scratch.dir, "d", 0o755);
    const d = native.openat(scratch.dir, "d", O_RDONLY | O_DIRECTORY, 0);
    native.close(createFile(d, "f"));
    native.symlinkat("d", scratch.dir, "to-d");
    native.symlinkat("/etc/passwd", d, "absolute");
    native.symlinkat("f", d, "to-f");
    const beneath = (path: string, flags = O_RDONLY): number => openBeneath(scratch.dir, path, flags, 0);

    const fd = beneath("d/f");
    expect(statOf(fd, "").ino).toBe(statOf(d, "f").ino);
    native.close(fd);
    const up = beneath("d/../d/f");
    expect(native.close(up)).toBe(0);
    const made = openBeneath(scratch.dir, "d/new", O_CREAT, 0o640);
    expect(statOf(made, "").mode & 0o777).toBe(0o640 & ~process.umask());
    native.close(made);

    expect(beneath("..")).toBe(-errno.EXDEV);
    expect(beneath("d/../../x")).toBe(-errno.EXDEV);
    expect(beneath("/etc/passwd")).toBe(-errno.EXDEV);
    expect(beneath("to-d/f")).toBe(-errno.ELOOP);
    expect(beneath("d/to-f")).toBe(-errno.ELOOP);
    const link = beneath("d/to-f", O_PATH);
    expect(statOf(link, "").mode).toBe(0o120777);
    native.close(link);
    expect(beneath("to-d/to-f", O_PATH)).toBe(-errno.ELOOP);
    expect(beneath("d/absolute")).toBe(-errno.ELOOP);
    expect(beneath("d/nothing")).toBe(-errno.ENOENT);
    const root = open("/");
    expect(openBeneath(root, "proc/self/status", O_RDONLY, 0)).toBe(-errno.EXDEV);
    native.close(root);
    native.close(d);
    scratch.remove();
  });
});
