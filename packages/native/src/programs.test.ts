/** Children by `spawn` and `reap`. */
import { closeSync, existsSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { errno, makeScratch, places, type Scratch } from "../test/scratch.js";
import { native } from "./index.js";

const { SIGINT, SIGHUP, SIGPIPE, SIGTERM, SIGKILL } = constants.signals;
const block = (...strings: string[]): Uint8Array => Buffer.from(strings.map((text) => `${text}\0`).join(""));
const maskOf = (...signals: number[]): bigint => signals.reduce((mask, signal) => mask | (1n << BigInt(signal - 1)), 0n);

let scratch: Scratch;
let output: number;

beforeEach(() => {
  scratch = makeScratch(places.tmpfs);
  output = openSync(join(scratch.path, "output"), "w+");
});

afterEach(() => {
  closeSync(output);
  scratch.remove();
});

interface Given {
  files?: readonly number[];
  ignored?: bigint;
  env?: Uint8Array;
}

function run(script: string, { files = [output, output, output], ignored = 0n, env = block() }: Given = {}): number {
  return native.spawn("/bin/sh", block("sh", "-c", script), env, Int32Array.from(files), ignored, SIGKILL);
}

async function ended(pid: number): Promise<number> {
  for (;;) {
    const code = native.reap(pid);
    if (code !== -errno.EAGAIN) return code;
    await sleep(2);
  }
}

const written = (): string => readFileSync(join(scratch.path, "output"), "utf8");

it("starts a program in the root directory with the words, the variables and the files that are given", async () => {
  const other = openSync(join(scratch.path, "other"), "w+");
  const pid = run('pwd; echo "$VALUE"; ls /proc/self/fd >&3; exit 7', {
    // Each has the number of another one's place.
    files: [other, output, output, other],
    env: block("VALUE=a b", "PATH=/usr/bin:/bin"),
  });
  expect(pid).toBeGreaterThan(0);
  expect(await ended(pid)).toBe(7);
  expect(written()).toBe("/\na b\n");
  const seen = readFileSync(join(scratch.path, "other"), "utf8").trim().split("\n");
  expect(seen).toEqual(expect.arrayContaining(["0", "1", "2", "3"]));
  expect(native.reap(pid)).toBe(-10); // ECHILD
  closeSync(other);
});

/** Of a process of its own, with `end` after the start of the child. */
const starting = (script: string, places: string, end: string): string => `(async () => {
  const { native } = await import(${JSON.stringify(new URL("./index.js", import.meta.url).href.replace("/src/", "/dist/"))});
  const block = (...words) => Buffer.from(words.map((word) => word + "\\0").join(""));
  const words = block("sh", "-c", ${JSON.stringify(script)});
  const pid = native.spawn("/bin/sh", words, block("PATH=/usr/bin:/bin"), Int32Array.of(${places}), 0n, ${SIGKILL});
  ${end}
})()`;

const UNTIL_ENDED = `
  let code = native.reap(pid);
  for (; code === -11; code = native.reap(pid)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  process.exitCode = Math.abs(code);`;

function startNode(code: string, files: readonly number[], ignored = 0n): number {
  const words = block(process.execPath, "--input-type=commonjs", "-e", code);
  return native.spawn(process.execPath, words, block("PATH=/usr/bin:/bin"), Int32Array.from(files), ignored, 0);
}

it("moves files to their places although each has the number of another place", async () => {
  const other = openSync(join(scratch.path, "other"), "w+");
  expect(await ended(startNode(starting("echo one; echo two >&2", "0, 2, 1", UNTIL_ENDED), [output, output, other]))).toBe(0);
  expect(written()).toBe("two\n");
  expect(readFileSync(join(scratch.path, "other"), "utf8")).toBe("one\n");
  closeSync(other);
});

it("has the child ignore the named signals alone, whatever this process ignores, and block none", async () => {
  const blocked = native.blockSignal(SIGTERM, true);
  // Node itself ignores SIGPIPE.
  const pid = run("exec cat /proc/self/status", { ignored: maskOf(SIGINT, SIGHUP), env: block("PATH=/usr/bin:/bin") });
  native.blockSignal(SIGTERM, blocked === 1);
  expect(await ended(pid)).toBe(0);
  const maskIn = (name: string): bigint => BigInt(`0x${new RegExp(`^${name}:\\t(\\w+)$`, "m").exec(written())?.[1]}`);
  expect(maskIn("SigIgn")).toBe(maskOf(SIGINT, SIGHUP));
  expect(maskIn("SigIgn") & maskOf(SIGPIPE)).toBe(0n);
  expect(maskIn("SigBlk")).toBe(0n);
});

it("tells the signal that ended a child, and that another one goes on", async () => {
  const pid = run("exec sleep 60", { env: block("PATH=/usr/bin:/bin") });
  expect(native.reap(pid)).toBe(-errno.EAGAIN);
  process.kill(pid, "SIGTERM");
  expect(await ended(pid)).toBe(128 + SIGTERM);
});

it("knows how a child ended although this process was started to forget its children", async () => {
  const { SIGCHLD } = constants.signals;
  const pid = startNode(starting("exit 7", "0, 1, 2", UNTIL_ENDED), [output, output, output], maskOf(SIGCHLD));
  expect(await ended(pid), written()).toBe(7);
});

it("ends the child with the thread that started it", async () => {
  const pair = openSync(join(scratch.path, "pid"), "w+");
  const end = 'require("node:fs").writeSync(1, pid + "\\n"); process.kill(process.pid, "SIGKILL");';
  const starter = startNode(starting("exec sleep 60", "0, 1, 2", end), [output, pair, output]);
  expect(await ended(starter)).toBe(128 + SIGKILL);
  const pid = readFileSync(join(scratch.path, "pid"), "utf8").trim();
  expect(pid, written()).toMatch(/^\d+$/);
  const isThere = (): boolean => existsSync(`/proc/${pid}`) && !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  await expect.poll(isThere, { timeout: 10_000 }).toBe(false);
  closeSync(pair);
});

it("gives the errno of a program that cannot be started, and leaves no child", () => {
  const missing = native.spawn("/nowhere", block("nowhere"), block(), Int32Array.of(0, 1, 2), 0n, SIGKILL);
  expect(missing).toBe(-errno.ENOENT);
  expect(native.spawn("/bin/sh", block("sh"), block(), Int32Array.of(0, 9_999), 0n, 0)).toBe(-errno.EBADF);
  const long = block("sh", "-c", "x".repeat(3 << 20));
  expect(native.spawn("/bin/sh", long, block(), Int32Array.of(0, 1, 2), 0n, 0)).toBe(-7); // E2BIG
  expect(native.spawn("/bin/sh", Buffer.from("sh"), block(), Int32Array.of(0, 1, 2), 0n, 0)).toBe(-errno.EINVAL);
  expect(() => native.spawn("/bin/sh", block("sh"), block(), new Int32Array(17), 0n, 0)).toThrow(RangeError);
  expect(readFileSync("/proc/thread-self/children", "utf8").trim()).toBe("");
});

it("leaves signals of this process as they were", () => {
  const state = (): string[] =>
    readFileSync("/proc/thread-self/status", "utf8")
      .split("\n")
      .filter((line) => /^Sig(Blk|Ign|Cgt)/.test(line));
  const before = state();
  expect(run("exit 0")).toBeGreaterThan(0);
  expect(state()).toEqual(before);
});

it("makes a pair of stream sockets, of which the first alone does not wait", () => {
  const pair = new Int32Array(2);
  expect(native.streamPair(pair)).toBe(0);
  const [ours, theirs] = [pair[0] as number, pair[1] as number];
  const bytes = Buffer.alloc(8);
  expect(() => readSync(ours, bytes)).toThrow(/EAGAIN/);
  writeSync(ours, "word");
  expect(readSync(theirs, bytes)).toBe(4);
  expect([native.descriptorFlags(ours), native.descriptorFlags(theirs)]).toEqual([1, 1]);
  native.close(ours);
  native.close(theirs);
  expect(() => native.streamPair(new Int32Array(1))).toThrow(RangeError);
});
