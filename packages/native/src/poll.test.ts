import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bytesOf, createFile, errno, makeScratch, O_RDWR, places, type Scratch } from "../test/scratch.js";
import { native, UV_READABLE } from "./index.js";

const O_NONBLOCK = 0o4000;
const addon = fileURLToPath(new URL("../build/sluice_native.node", import.meta.url));

describe("poll", () => {
  let scratch: Scratch;
  let pipe: number;
  beforeEach(() => {
    scratch = makeScratch(places.tmpfs);
    native.mknodat(scratch.dir, "pipe", 0o010600, 0, 0);
    pipe = native.openat(scratch.dir, "pipe", O_RDWR | O_NONBLOCK, 0);
  });
  afterEach(() => {
    native.close(pipe);
    scratch.remove();
  });

  it("calls again while bytes are there, and never once closed", async () => {
    let calls = 0;
    native.write(pipe, bytesOf("ab"), 0, 2);
    await new Promise<void>((resolve) => {
      const poller = native.poll(pipe, (status, events) => {
        expect([status, events]).toEqual([0, UV_READABLE]);
        native.read(pipe, new Uint8Array(1), 0, 1);
        if (++calls < 2) return;
        poller.close();
        poller.close();
        resolve();
      });
    });
    native.write(pipe, bytesOf("c"), 0, 1);
    await sleep(20);
    expect(calls).toBe(2);
    expect(native.read(pipe, new Uint8Array(1), 0, 1)).toBe(1);
    expect(native.read(pipe, new Uint8Array(1), 0, 1)).toBe(-errno.EAGAIN);
  });

  it("runs microtasks after each callback, also between two that are ready together", async () => {
    native.mknodat(scratch.dir, "second", 0o010600, 0, 0);
    const second = native.openat(scratch.dir, "second", O_RDWR | O_NONBLOCK, 0);
    const order: string[] = [];
    const watched = [pipe, second].map(
      (fd) =>
        new Promise<void>((resolve) => {
          native.write(fd, bytesOf("x"), 0, 1);
          const poller = native.poll(fd, () => {
            order.push("call");
            void Promise.resolve().then(() => {
              order.push("microtask");
              poller.close();
              resolve();
            });
          });
        }),
    );
    await Promise.all(watched);
    expect(order).toEqual(["call", "microtask", "call", "microtask"]);
    native.close(second);
  });

  it("throws for a file that cannot be polled", () => {
    const file = createFile(scratch.dir, "f");
    expect(() => native.poll(file, () => {})).toThrow(/cannot watch/);
    expect(() => native.poll(987_654, () => {})).toThrow(/cannot watch/);
    expect(() => native.poll(pipe, "no function" as unknown as () => void)).toThrow(TypeError);
    native.close(file);
  });

  function child(script: string, ...argv: string[]): { status: number | null; stdout: string; stderr: string } {
    const done = spawnSync(process.execPath, [...argv, "-e", script, addon, `${scratch.path}/pipe`], { encoding: "utf8" });
    return { status: done.status, stdout: done.stdout.trim(), stderr: done.stderr };
  }
  const open = `const native = require(process.argv[1]);
    const pipe = native.openat(-100, process.argv[2], ${O_RDWR | O_NONBLOCK}, 0);
    native.write(pipe, new Uint8Array(1), 0, 1);`;

  it("makes what the callback throws an uncaught exception, once each call", () => {
    const seen = child(`${open}
      const poller = native.poll(pipe, () => { throw new Error("from the callback"); });
      process.on("uncaughtException", (error) => { console.log(error.message); poller.close(); });`);
    expect(seen).toEqual({ status: 0, stdout: "from the callback", stderr: "" });
  });

  it("is not collected while open, though nobody holds it", () => {
    const seen = child(
      `${open}
      let calls = 0;
      native.poll(pipe, () => { global.gc(); if (++calls === 3) { console.log("three"); process.exit(0); } });
      global.gc();`,
      "--expose-gc",
    );
    expect(seen).toEqual({ status: 0, stdout: "three", stderr: "" });
  });

  it("ends with its environment: a worker that leaves pollers, notifiers and mappings behind", () => {
    const seen = child(`${open}
      const { Worker } = require("worker_threads");
      const body = \`const { workerData: [addon, pipe], parentPort } = require("worker_threads");
        const native = require(addon);
        native.poll(pipe, () => {});
        native.notifier(pipe);
        // libuv watches a descriptor once a loop: a second poller on it is refused, and must not leak either.
        try { native.poll(pipe, () => {}) } catch {}
        parentPort.postMessage("up");\`;
      const worker = new Worker(body,
        { eval: true, workerData: [process.argv[1], pipe] });
      worker.on("message", async () => { await worker.terminate(); console.log("ended"); });`);
    expect(seen).toEqual({ status: 0, stdout: "ended", stderr: "" });
  });
});
