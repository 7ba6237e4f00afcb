import { afterEach, describe, expect, it } from "vitest";
import { AT_FDCWD, errno, O_PATH, O_RDONLY } from "../test/scratch.js";
import { native, POLL, SEAL } from "./index.js";

const EAGAIN = errno.EAGAIN;
const EPIPE = 32;
const ECONNRESET = 104;
const ETIMEDOUT = 110;
const O_CLOEXEC_BIT = 0o2000000;
const none = new Int32Array(0);

const opened: number[] = [];
const closeLater = (fd: number): number => {
  expect(fd).toBeGreaterThan(2);
  opened.push(fd);
  return fd;
};
const close = (fd: number): void => {
  opened.splice(opened.indexOf(fd), 1);
  native.close(fd);
};

function pair(): [number, number] {
  const out = new Int32Array(2);
  expect(native.seqpacketPair(out)).toBe(0);
  return [closeLater(out[0] as number), closeLater(out[1] as number)];
}

const TRUNCATED = 2 ** 32;
const count = (received: number): number => (received >>> 16) & 0xffff;
const length = (received: number): number => received & 0xffff;

afterEach(() => {
  for (const fd of opened.splice(0)) native.close(fd);
});

describe("records over a socket", () => {
  it("keeps records whole, and brings descriptors along close-on-exec", () => {
    const [a, b] = pair();
    const file = closeLater(native.memoryFile("sluice-test"));
    native.pwrite(file, Buffer.from("content"), { offset: 0, length: 7, position: 0 }, 0);
    expect(native.sendMessage(a, Buffer.from("firstXX"), 5, new Int32Array([file, file, 99]), 2, 0)).toBe(5);
    expect(native.sendMessage(a, Buffer.from("second"), 6, none, 0, 0)).toBe(6);
    const bytes = Buffer.alloc(64);
    const fds = new Int32Array(4).fill(-1);
    const first = native.receiveMessage(b, bytes, fds, 0);
    expect([length(first), count(first), bytes.toString("latin1", 0, 5)]).toEqual([5, 2, "first"]);
    expect([...fds.slice(2)]).toEqual([-1, -1]);
    const got = closeLater(fds[0] as number);
    closeLater(fds[1] as number);
    native.pread(got, bytes, { offset: 0, length: 7, position: 0 }, 0);
    expect(bytes.toString("latin1", 0, 7)).toBe("content");
    const second = native.receiveMessage(b, bytes, fds, 0);
    expect([length(second), count(second)]).toEqual([6, 0]);
    expect(native.receiveMessage(b, bytes, fds, 0)).toBe(-EAGAIN);
  });

  it("tells that more came than there was room for, and leaks no descriptor of it", () => {
    const [a, b] = pair();
    const file = closeLater(native.memoryFile("sluice-test"));
    const highest = native.dupfd(file);
    native.close(highest);
    native.sendMessage(a, Buffer.from("x"), 1, new Int32Array([file, file, file]), 3, 0);
    native.sendMessage(a, Buffer.alloc(100), 100, new Int32Array([file]), 1, 0);
    const fds = new Int32Array(1);
    for (const bytes of [1, 64]) {
      const received = native.receiveMessage(b, Buffer.alloc(64), fds, 0);
      expect([received >= TRUNCATED, count(received), length(received)]).toEqual([true, 1, bytes]);
      native.close(fds[0] as number);
    }
    native.sendMessage(a, Buffer.from("x"), 1, new Int32Array([file]), 1, 0);
    expect(native.receiveMessage(b, Buffer.alloc(64), none, 0)).toBe(TRUNCATED + 1);
    const next = closeLater(native.dupfd(file));
    expect(next).toBe(highest);
  });

  it("waits a bounded time, and tells that the peer is gone", () => {
    const [a, b] = pair();
    const bytes = Buffer.alloc(64);
    expect(native.receiveMessage(b, bytes, none, 20)).toBe(-ETIMEDOUT);
    let sent = 0;
    while ((sent = native.sendMessage(a, Buffer.alloc(4096), 4096, none, 0, 0)) > 0);
    expect(sent).toBe(-EAGAIN);
    expect(native.sendMessage(a, bytes, 1, none, 0, 20)).toBe(-ETIMEDOUT);
    close(b);
    expect(native.sendMessage(a, bytes, 1, none, 0, 20)).toBe(-ECONNRESET);
    expect(native.sendMessage(a, bytes, 1, none, 0, 20)).toBe(-EPIPE);
    expect(native.receiveMessage(a, bytes, none, 20)).toBe(0);
    expect(native.receiveMessage(-1, bytes, none, 0)).toBe(-errno.EBADF);
  });

  it("refuses lengths and counts beyond what is given", () => {
    const [a] = pair();
    expect(() => native.sendMessage(a, Buffer.alloc(4), 5, none, 0, 0)).toThrow(RangeError);
    expect(() => native.sendMessage(a, Buffer.alloc(4), 4, none, 1, 0)).toThrow(RangeError);
    expect(() => native.sendMessage(a, Buffer.alloc(4), 4, new Int32Array(254), 254, 0)).toThrow(RangeError);
  });
});

describe("descriptors", () => {
  it("tells what is ready, hung up, or no descriptor", () => {
    const [a, b] = pair();
    expect(native.pollNow(a, POLL.IN | POLL.OUT, 0)).toBe(POLL.OUT);
    native.sendMessage(b, Buffer.from("x"), 1, none, 0, 0);
    expect(native.pollNow(a, POLL.IN, 1000)).toBe(POLL.IN);
    close(b);
    expect(native.pollNow(a, 0, 1000) & POLL.HUP).toBe(POLL.HUP);
    expect(native.pollNow(-1, POLL.IN, 0)).toBe(-errno.EBADF);
  });

  it("gives the flags a descriptor was opened with", () => {
    const fd = closeLater(native.openat(AT_FDCWD, "/", O_PATH, 0));
    expect(native.statusFlags(fd) & O_PATH).toBe(O_PATH);
    expect(native.statusFlags(closeLater(native.openat(AT_FDCWD, "/", O_RDONLY, 0))) & (O_PATH | O_CLOEXEC_BIT)).toBe(0);
    expect(native.statusFlags(-1)).toBe(-errno.EBADF);
  });

  it("shares memory by a descriptor, sealed against shrinking", () => {
    const fd = closeLater(native.memoryFile("sluice-test"));
    native.ftruncate(fd, 8192);
    expect(native.addSeals(fd, SEAL.SHRINK | SEAL.SEAL)).toBe(0);
    expect(native.ftruncate(fd, 4096)).toBe(-errno.EPERM);
    expect(native.ftruncate(fd, 16_384)).toBe(0);
    expect(native.addSeals(fd, SEAL.WRITE)).toBe(-errno.EPERM);
    const one = native.mapShared(fd, 16_384, true);
    const other = native.mapShared(fd, 16_384, false);
    if (typeof one === "number" || typeof other === "number") throw new Error("not mapped");
    one.bytes.write("journal", 16_000);
    expect(other.bytes.toString("latin1", 16_000, 16_007)).toBe("journal");
    expect([one.unmap(), other.unmap()]).toEqual([0, 0]);
  });
});
