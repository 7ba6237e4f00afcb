import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  AT_FDCWD,
  bytesOf,
  createFile,
  errno,
  makeScratch,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  places,
  type Scratch,
  statOf,
  textOf,
} from "../test/scratch.js";
import { bootTimeMs, LOCK, native } from "./index.js";

const EFAULT = 14;
const addon = fileURLToPath(new URL("../build/sluice_native.node", import.meta.url));
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const RWF_NOWAIT = 8;
const RWF_APPEND = 16;
const at = (position: number | bigint, length: number, offset = 0): { offset: number; length: number; position: number | bigint } => ({
  offset,
  length,
  position,
});

describe.each(Object.entries(places))("data on %s", (_, place) => {
  let scratch: Scratch;
  let fd: number;
  beforeEach(() => {
    scratch = makeScratch(place);
    fd = createFile(scratch.dir, "f");
  });
  afterEach(() => {
    native.close(fd);
    scratch.remove();
  });

  it("reads and writes the piece that is named, and nothing around it", async () => {
    const source = bytesOf("..hello..");
    expect(native.pwrite(fd, source, at(3, 5, 2), 0)).toBe(5);
    const target = bytesOf("**********");
    expect(native.pread(fd, target, at(3, 100 - 93, 1), 0)).toBe(5);
    expect(textOf(target, 10)).toBe("*hello****");
    expect(await native.pwriteAsync(fd, source, at(0, 2), 0)).toBe(2);
    expect(await native.preadAsync(fd, target, at(0, 8, 1), 0)).toBe(8);
    expect(textOf(target, 10)).toBe("*..\0hello*");
  });

  it("refuses a range beyond the buffer before anything is read or written", () => {
    const bytes = new Uint8Array(new ArrayBuffer(64), 16, 8);
    for (const range of [at(0, 9), at(0, 1, 8), at(0, -1), at(0, 8, -1), at(0, 2 ** 40), at(0, 8, 2 ** 53)]) {
      expect(() => native.pwrite(fd, bytes, range, 0)).toThrow(RangeError);
      expect(() => native.pread(fd, bytes, range, 0)).toThrow(RangeError);
      expect(() => native.preadAsync(fd, bytes, range, 0)).toThrow(RangeError);
      expect(() => native.write(fd, bytes, range.offset, range.length)).toThrow(RangeError);
      expect(() => native.read(fd, bytes, range.offset, range.length)).toThrow(RangeError);
    }
    expect(() => native.write2(fd, bytes, 9, bytes, 0, 8)).toThrow(RangeError);
    expect(() => native.write2(fd, bytes, 8, bytes, 1, 8)).toThrow(RangeError);
    expect(statOf(fd, "").size).toBe(0n);
    expect(native.pwrite(fd, bytes, at(0, 0, 8), 0)).toBe(0);
  });

  it("writes two pieces as one", () => {
    expect(native.write2(fd, bytesOf("head!!"), 4, bytesOf("xxbodyxx"), 2, 4)).toBe(8);
    const bytes = new Uint8Array(8);
    native.lseek(fd, 0, 0);
    expect(native.read(fd, bytes, 0, 8)).toBe(8);
    expect(textOf(bytes, 8)).toBe("headbody");
  });

  it("appends and declines to wait where the flags say so", () => {
    native.pwrite(fd, bytesOf("abc"), at(0, 3), 0);
    expect(native.pwrite(fd, bytesOf("def"), at(0, 3), RWF_APPEND)).toBe(3);
    const bytes = new Uint8Array(6);
    expect([6, -errno.EAGAIN, -errno.EOPNOTSUPP]).toContain(native.pread(fd, bytes, at(0, 6), RWF_NOWAIT));
    native.pread(fd, bytes, at(0, 6), 0);
    expect(textOf(bytes, 6)).toBe("abcdef");
  });

  it("seeks data and holes", () => {
    native.ftruncate(fd, 1 << 20);
    native.pwrite(fd, bytesOf("x"), at(512 * 1024, 1), 0);
    expect(native.lseek(fd, 0, SEEK_DATA)).toBe(512 * 1024);
    expect(native.lseek(fd, 0, SEEK_HOLE)).toBe(0);
    expect(native.lseek(fd, 512 * 1024, SEEK_HOLE)).toBe(512 * 1024 + 4096);
    expect(native.lseek(fd, 1 << 20, SEEK_DATA)).toBe(-errno.ENXIO);
  });

  it("truncates, allocates, punches, copies and syncs", async () => {
    expect(await native.ftruncateAsync(fd, 3)).toBe(0);
    expect(await native.fallocateAsync(fd, 0, 0, 8192)).toBe(0);
    expect(statOf(fd, "").size).toBe(8192n);
    native.pwrite(fd, bytesOf("copied"), at(4096, 6), 0);
    expect(await native.fallocateAsync(fd, 3, 0, 4096)).toBe(0);
    const other = createFile(scratch.dir, "other");
    expect(await native.copyFileRangeAsync(fd, 4096, other, 10, 6)).toBe(6);
    const bytes = new Uint8Array(6);
    native.pread(other, bytes, at(10, 6), 0);
    expect(textOf(bytes, 6)).toBe("copied");
    expect(await native.fsyncAsync(fd, false)).toBe(0);
    expect(await native.fsyncAsync(fd, true)).toBe(0);
    expect(await native.syncfsAsync(fd)).toBe(0);
    expect([native.fsync(fd), native.syncfs(fd), native.syncfs(987_654)]).toEqual([0, 0, -errno.EBADF]);
    expect([0, -errno.EOPNOTSUPP]).toContain(native.ficlone(other, fd));
    native.close(other);
  });

  it("resolves, and never rejects, with the errno", async () => {
    expect(await native.openatAsync(scratch.dir, "nothing", O_RDONLY, 0)).toBe(-errno.ENOENT);
    expect(await native.openatAsync(scratch.dir, "a\0b", O_RDONLY, 0)).toBe(-errno.EINVAL);
    expect(await native.fsyncAsync(987_654, false)).toBe(-errno.EBADF);
    expect(await native.umount2Async(scratch.path, 0)).toBe(-errno.EINVAL);
    const made = await native.openatAsync(scratch.dir, "made", O_RDWR | O_CREAT, 0o600);
    expect(native.close(made)).toBe(0);
    expect(await native.unlinkatAsync(scratch.dir, "made", 0)).toBe(0);
    expect(await native.unlinkatAsync(scratch.dir, "made", 0)).toBe(-errno.ENOENT);
  });

  it("locks one open file description against another", () => {
    const other = native.openat(scratch.dir, "f", O_RDWR, 0);
    expect(native.flock(fd, LOCK.EX | LOCK.NB)).toBe(0);
    expect(native.flock(other, LOCK.SH | LOCK.NB)).toBe(-errno.EAGAIN);
    expect(native.flock(fd, LOCK.UN)).toBe(0);
    expect(native.flock(other, LOCK.SH | LOCK.NB)).toBe(0);
    native.close(other);
  });

  it("tells whether somebody has a file open for writing, or mapped", () => {
    native.ftruncate(fd, 4096);
    const reader = native.openat(scratch.dir, "f", O_RDONLY, 0);
    expect(native.isWritten(reader)).toBe(1);
    const mapping = native.mapShared(fd, 4096, true);
    if (typeof mapping === "number") throw new Error(`mmap: ${mapping}`);
    native.close(fd);
    expect(native.isWritten(reader)).toBe(1);
    mapping.unmap();
    expect([native.isWritten(reader), native.isWritten(reader), native.isWritten(scratch.dir)]).toEqual([0, 0, -errno.EINVAL]);
    native.close(reader);
    fd = native.openat(scratch.dir, "f", O_RDWR, 0);
  });

  it("maps a file shared, and takes the bytes away when unmapped", () => {
    native.pwrite(fd, bytesOf("before"), at(0, 6), 0);
    native.ftruncate(fd, 4096);
    const mapping = native.mapShared(fd, 4096, true);
    if (typeof mapping === "number") throw new Error(`mmap: ${mapping}`);
    expect(mapping.bytes.toString("latin1", 0, 6)).toBe("before");
    mapping.bytes[0] = 0x42;
    const bytes = new Uint8Array(6);
    native.pread(fd, bytes, at(0, 6), 0);
    expect(textOf(bytes, 6)).toBe("Before");
    expect(mapping.unmap()).toBe(0);
    expect(mapping.bytes.length).toBe(0);
    expect(mapping.unmap()).toBeLessThan(0);
    expect(native.mapShared(-1, 4096, true)).toBe(-errno.EBADF);
  });

  it("maps a file in place of shared memory, and takes it away again", () => {
    native.pwrite(fd, bytesOf("before"), at(0, 6), 0);
    native.ftruncate(fd, 8192);
    // The types of ES2022 do not know the options, which make it consist of whole pages.
    const Growable = SharedArrayBuffer as unknown as new (bytes: number, options: { maxByteLength: number }) => SharedArrayBuffer;
    const place = new Uint8Array(new Growable(8192, { maxByteLength: 8192 }));
    expect(native.mapOver(place.subarray(1), fd)).toBe(-errno.EINVAL);
    expect(native.mapOver(place, fd)).toBe(0);
    expect(textOf(place, 6)).toBe("before");
    place[0] = 0x42;
    const bytes = new Uint8Array(6);
    native.pread(fd, bytes, at(0, 6), 0);
    expect(textOf(bytes, 6)).toBe("Before");
    expect(native.mapOver(place, -1)).toBe(0);
    place[1] = 0x42;
    native.pread(fd, bytes, at(0, 6), 0);
    expect(textOf(bytes, 6)).toBe("Before");
  });

  it("says at once, if asked to, that there is no file behind a mapping", () => {
    native.ftruncate(fd, 4096);
    expect(native.mapShared(fd, 3 * 4096, false, true)).toBe(-EFAULT);
    const mapping = native.mapShared(fd, 4096, false, true);
    if (typeof mapping === "number") throw new Error(`mmap: ${mapping}`);
    expect(mapping.bytes[4095]).toBe(0);
    expect(mapping.unmap()).toBe(0);
  });

  it("reads the clock into memory", () => {
    const us = new Float64Array(2);
    const bytes = new Uint8Array(us.buffer);
    expect(native.monotonicClock(bytes)).toBe(0);
    const first = us[0] as number;
    expect(native.monotonicClock(bytes)).toBe(0);
    expect(us[0]).toBeGreaterThanOrEqual(first);
    expect(Math.abs((us[0] as number) - Number(process.hrtime.bigint() / 1000n))).toBeLessThan(60_000_000);
    expect(us[1]).toBe(0);
    expect(() => native.monotonicClock(new Uint8Array(7))).toThrow(RangeError);
  });

  it("reads the time since the machine started, with the time in which it was suspended", () => {
    // A time namespace moves that clock alone, as a suspended machine does.
    const script = `const us = new Float64Array(1); require(${JSON.stringify(addon)}).bootClock(new Uint8Array(us.buffer)); console.log(us[0]);`;
    const child = spawnSync("unshare", ["--time", "--boottime", "1000000", process.execPath, "-e", script], { encoding: "utf8" });
    expect(child.stderr).toBe("");
    expect(Math.abs(Number(child.stdout) / 1000 - bootTimeMs() - 1e9)).toBeLessThan(60_000);
    expect(() => native.bootClock(new Uint8Array(7))).toThrow(RangeError);
  });

  it("leaves the time in memory after each read of a request and each write of a reply", () => {
    const us = new Float64Array(1);
    const clock = new Uint8Array(us.buffer);
    const bytes = bytesOf("reply");
    expect(native.writeReply(fd, bytes, 0, 5, clock)).toBe(5);
    const written = us[0] as number;
    expect(written).toBeGreaterThan(0);
    native.lseek(fd, 0, 0);
    expect(native.readRequest(fd, bytes, 0, 5, 1000, clock)).toBe(5);
    expect(us[0]).toBeGreaterThanOrEqual(written);
    expect(native.writeReply(-1, bytes, 0, 5, clock)).toBe(-errno.EBADF);
    for (const range of [at(0, 9), at(0, 1, 8), at(0, -1)]) {
      expect(() => native.readRequest(fd, bytes, range.offset, range.length, 0, clock)).toThrow(RangeError);
      expect(() => native.writeReply(fd, bytes, range.offset, range.length, clock)).toThrow(RangeError);
    }
    expect(() => native.readRequest(fd, bytes, 0, 5, 0, new Uint8Array(7))).toThrow(RangeError);
  });

  it("keeps and changes inode flags where the file system has them", () => {
    const FS_NODUMP_FL = 0x40;
    const flags = native.getFlags(fd);
    expect(flags).toBeGreaterThanOrEqual(0);
    expect(native.setFlags(fd, flags | FS_NODUMP_FL)).toBe(0);
    expect(native.getFlags(fd)).toBe(flags | FS_NODUMP_FL);
    expect(native.getFlags(987_654)).toBe(-errno.EBADF);
  });

  it("reports the file system", () => {
    const out = new Float64Array(12);
    expect(native.fstatfs(fd, out)).toBe(0);
    expect([0x01021994, 0xef53, 0x9123683e, 0x58465342, 0x794c7630]).toContain(out[0]);
    expect(out[9]).toBe(255);
    expect(native.fstatfs(-1, out)).toBe(-errno.EBADF);
    expect(() => native.fstatfs(fd, new Float64Array(11))).toThrow(RangeError);
  });
});

describe("a call in flight", () => {
  it("keeps its bytes alive, though nobody else holds them, and lets them go after", () => {
    const scratch = makeScratch(places.tmpfs);
    native.close(createFile(scratch.dir, "f"));
    native.mknodat(scratch.dir, "pipe", 0o010600, 0, 0);
    // Opening the pipe's reading end keeps all four threads of the pool waiting, so that the read cannot start.
    const script = `const native = require(process.argv[1]);
      const [, , folder] = process.argv;
      const collect = async () => { for (let i = 0; i < 5; i++) { await new Promise(setImmediate); global.gc(); } };
      (async () => {
        const opens = Array.from({ length: 4 }, () => native.openatAsync(-100, folder + "/pipe", 0, 0));
        const fd = native.openat(-100, folder + "/f", 0, 0);
        let bytes = new Uint8Array(1 << 20);
        const held = new WeakRef(bytes);
        const reading = native.preadAsync(fd, bytes, 0, 1 << 20, 0, 0);
        bytes = undefined;
        await collect();
        const during = held.deref() !== undefined;
        native.openat(-100, folder + "/pipe", 2, 0);
        const count = await reading;
        await Promise.all(opens);
        await collect();
        console.log(JSON.stringify([during, count, held.deref() === undefined]));
      })();`;
    const env = { ...process.env, UV_THREADPOOL_SIZE: "4" };
    const done = spawnSync(process.execPath, ["--expose-gc", "-e", script, addon, scratch.path], { encoding: "utf8", env });
    scratch.remove();
    expect(done.stderr).toBe("");
    expect(JSON.parse(done.stdout)).toEqual([true, 0, true]);
  });
});

describe("sizes past 2^32 and 2^53", () => {
  it("are exact on tmpfs", async () => {
    const scratch = makeScratch(places.tmpfs);
    const fd = createFile(scratch.dir, "sparse");
    try {
      for (const size of [2 ** 32 + 1, 2 ** 53 - 1, 2n ** 53n + 1n, 2n ** 62n + 3n]) {
        expect(native.ftruncate(fd, size)).toBe(0);
        expect(statOf(fd, "").size).toBe(BigInt(size));
        expect(native.lseek(fd, 0, 2)).toBe(size);
        const last = typeof size === "number" ? size - 1 : size - 1n;
        expect(await native.pwriteAsync(fd, bytesOf("z"), at(last, 1), 0)).toBe(1);
        const byte = new Uint8Array(1);
        expect(native.pread(fd, byte, at(last, 1), 0)).toBe(1);
        expect(textOf(byte, 1)).toBe("z");
      }
      expect(() => native.ftruncate(fd, 2 ** 60)).toThrow(RangeError);
      expect(() => native.ftruncate(fd, 2n ** 63n)).toThrow(RangeError);
      expect(native.ftruncate(fd, -1)).toBe(-errno.EINVAL);
      expect(native.ftruncate(AT_FDCWD, 0)).toBe(-errno.EBADF);
    } finally {
      native.close(fd);
      scratch.remove();
    }
  });
});
