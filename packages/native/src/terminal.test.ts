import { readSync, writeSync } from "node:fs";
import { isatty } from "node:tty";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errno } from "../test/scratch.js";
import { native, POLL, TERMIOS_BYTES, WINSIZE_WORDS } from "./index.js";

const SIGINT = 2;
const SIGTERM = 15;

function openPty(): [near: number, far: number] {
  const ends = new Int32Array(2);
  expect(native.openPty(ends)).toBe(0);
  return [ends[0] as number, ends[1] as number];
}

describe("terminals", () => {
  let near: number;
  let far: number;
  beforeEach(() => ([near, far] = openPty()));
  afterEach(() => [near, far].forEach(native.close));

  it("makes a pseudo-terminal whose ends have one size", () => {
    expect([isatty(near), isatty(far)]).toEqual([true, true]);
    expect(native.setTerminalSize(near, new Uint16Array([30, 90, 0, 0]))).toBe(0);
    const size = new Uint16Array(WINSIZE_WORDS);
    expect(native.terminalSize(far, size)).toBe(0);
    expect([...size]).toEqual([30, 90, 0, 0]);
    expect(native.terminalSize(0x7fff, size)).toBe(-errno.EBADF);
  });

  it("translates line ends unless the output is raw, and restores the mode that it found", () => {
    const mode = new Uint8Array(TERMIOS_BYTES);
    const written = (): string => {
      const bytes = new Uint8Array(16);
      writeSync(far, "x\n");
      return Buffer.from(bytes.subarray(0, readSync(near, bytes))).toString();
    };
    expect(native.terminalMode(far, mode)).toBe(TERMIOS_BYTES);
    expect(native.setTerminalMode(far, mode, true, true)).toBe(0);
    expect(written()).toBe("x\n");
    expect(native.setTerminalMode(far, mode, true, false)).toBe(0);
    expect(written()).toBe("x\r\n");
    expect(native.setTerminalMode(far, mode, false, false)).toBe(0);
    const after = new Uint8Array(TERMIOS_BYTES);
    native.terminalMode(far, after);
    expect(after).toEqual(mode);
  });

  it("gives a key to the program at once if the input is raw, and throws input away", () => {
    const mode = new Uint8Array(TERMIOS_BYTES);
    native.terminalMode(far, mode);
    writeSync(near, "k");
    expect(native.pollNow(far, POLL.IN, 0) & POLL.IN).toBe(0);
    native.setTerminalMode(far, mode, true, true);
    expect(native.pollNow(far, POLL.IN, 0) & POLL.IN).toBe(POLL.IN);
    expect(native.flushInput(far)).toBe(0);
    expect(native.pollNow(far, POLL.IN, 0) & POLL.IN).toBe(0);
  });

  it("sends only signals of keys to the programs of a terminal", () => {
    expect(native.signalTerminal(near, SIGINT)).toBe(0);
    expect(native.signalTerminal(near, SIGTERM)).toBe(-errno.EINVAL);
  });

  it("refuses buffers that are too small", () => {
    expect(() => native.openPty(new Int32Array(1))).toThrow(RangeError);
    expect(() => native.terminalMode(far, new Uint8Array(TERMIOS_BYTES - 1))).toThrow(RangeError);
    expect(() => native.setTerminalMode(far, new Uint8Array(1), false, false)).toThrow(RangeError);
    expect(() => native.terminalSize(far, new Uint16Array(WINSIZE_WORDS - 1))).toThrow(RangeError);
  });
});
