import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readSync } from "node:fs";
import { connect, createServer } from "node:net";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errno, makeScratch, places, type Scratch, statOf } from "../test/scratch.js";
import { native } from "./index.js";

const SIGTERM = 15;
const SIGCHLD = 17;

/** The supplementary groups of this process; Node's getgroups adds the effective one. */
function readGroups(): number[] {
  const line = /^Groups:(.*)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "";
  return line.trim().split(" ").filter(Boolean).map(Number);
}

describe("other processes", () => {
  it("knows by pidfd whether a process lives, and signals no other", async () => {
    const child = spawn("sleep", ["60"]);
    const pidfd = native.pidfdOpen(child.pid as number);
    expect(pidfd).toBeGreaterThan(2);
    expect(native.pidfdAlive(pidfd)).toBe(0);
    const exited = once(child, "exit");
    expect(native.pidfdSendSignal(pidfd, SIGTERM)).toBe(0);
    expect(await exited).toEqual([null, "SIGTERM"]);
    expect(native.pidfdAlive(pidfd)).toBe(-errno.ESRCH);
    expect(native.pidfdSendSignal(pidfd, SIGTERM)).toBe(-errno.ESRCH);
    native.close(pidfd);
    expect(native.pidfdAlive(pidfd)).toBe(-errno.EBADF);
    expect(native.pidfdOpen(child.pid as number)).toBe(-errno.ESRCH);
    expect(native.pidfdOpen(-1)).toBe(-errno.EINVAL);
  });

  it("opens a thread that is not its process' first", async () => {
    const worker = new Worker('require("worker_threads").parentPort.postMessage(require("fs").readlinkSync("/proc/thread-self"))', {
      eval: true,
    });
    const [link] = (await once(worker, "message")) as [string];
    const tid = Number(link.split("/").at(-1));
    // The worker may have gone already, which is a valid answer; EINVAL is not.
    const pidfd = native.pidfdOpen(tid);
    expect(pidfd === -errno.ESRCH || pidfd > 2).toBe(true);
    if (pidfd > 2) native.close(pidfd);
    await worker.terminate();
  });
});

it("leaves a signal to other threads, and says whether it did before", () => {
  const blocked = (): bigint => BigInt(`0x${/^SigBlk:\t(\w+)$/m.exec(readFileSync("/proc/thread-self/status", "utf8"))?.[1]}`);
  const before = blocked();
  expect(native.blockSignal(SIGCHLD, true)).toBe(0);
  expect(blocked()).toBe(before | (1n << BigInt(SIGCHLD - 1)));
  expect(native.blockSignal(SIGCHLD, true)).toBe(1);
  expect(native.blockSignal(SIGCHLD, false)).toBe(1);
  expect(blocked()).toBe(before);
  expect(native.blockSignal(0, true)).toBe(-errno.EINVAL);
  expect(native.blockSignal(65, true)).toBe(-errno.EINVAL);
});

describe("unix sockets", () => {
  let scratch: Scratch;
  beforeEach(() => {
    scratch = makeScratch(places.tmpfs);
  });
  afterEach(() => {
    scratch.remove();
  });

  it("listens with exactly the mode asked for, and tells who connected", async () => {
    const mask = native.umask(0o077);
    const fd = native.unixListen(`${scratch.path}/s\xff`, 0o660, 8);
    native.umask(mask);
    expect(fd).toBeGreaterThan(2);
    expect(statOf(scratch.dir, "s\xff").mode).toBe(0o140660);
    expect(native.unixListen(`${scratch.path}/s\xff`, 0o600, 8)).toBe(-98);
    native.renameat2(scratch.dir, "s\xff", scratch.dir, "s", 0);
    const server = createServer();
    const accepted = once(server, "connection");
    server.listen({ fd });
    const client = connect(`${scratch.path}/s`);
    const [peer] = (await accepted) as [{ _handle: { fd: number }; destroy(): void }];
    expect(native.peerCredentials(peer._handle.fd)).toEqual({ pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
    const gids = new Uint32Array(1024);
    expect([...gids.subarray(0, native.peerGroups(peer._handle.fd, gids))]).toEqual(readGroups());
    client.destroy();
    peer.destroy();
    server.close();
  });

  it("listens for records, and tells what waits and who answers", () => {
    const path = `${scratch.path}/records`;
    expect(native.seqpacketConnect(path)).toBe(-errno.ENOENT);
    const listener = native.seqpacketListen(path, 0o600, 4);
    expect(statOf(scratch.dir, "records").mode).toBe(0o140600);
    expect(native.acceptSocket(listener)).toBe(-errno.EAGAIN);
    const client = native.seqpacketConnect(path);
    const accepted = native.acceptSocket(listener);
    expect(native.peerCredentials(accepted)).toMatchObject({ pid: process.pid });
    expect(native.peerCredentials(client)).toMatchObject({ pid: process.pid });
    const pidfd = native.peerPidfd(accepted);
    expect(native.pidfdAlive(pidfd)).toBe(0);
    expect(readFileSync(`/proc/self/fdinfo/${pidfd}`, "latin1")).toMatch(new RegExp(`^Pid:\\s*${process.pid}$`, "m"));
    native.close(pidfd);
    expect(native.sendMessage(client, Buffer.from("one"), 3, new Int32Array(0), 0, 0)).toBe(3);
    expect(native.receiveMessage(accepted, Buffer.alloc(8), new Int32Array(0), 1000)).toBe(3);
    for (const fd of [client, accepted, listener]) native.close(fd);
    expect(native.seqpacketConnect(path)).toBe(-111);
    expect(native.seqpacketListen(path, 0o600, 4)).toBe(-98);
    expect(native.seqpacketConnect("")).toBe(-errno.ENOENT);
  });

  it("connects to a stream socket without waiting, and tells if nobody listens", () => {
    const path = `${scratch.path}/stream`;
    expect(native.unixConnect(path)).toBe(-errno.ENOENT);
    const listener = native.unixListen(path, 0o600, 4);
    const client = native.unixConnect(path);
    const accepted = native.acceptSocket(listener);
    expect(native.socketKind(listener)).toEqual({ domain: 1, type: 1, listens: 1 });
    expect(native.socketKind(client)).toEqual({ domain: 1, type: 1, listens: 0 });
    expect(native.write(client, Buffer.from("one"), 0, 3)).toBe(3);
    const bytes = Buffer.alloc(8);
    expect(readSync(accepted, bytes, 0, 8, null)).toBe(3);
    expect(bytes.toString("latin1", 0, 3)).toBe("one");
    for (const fd of [client, accepted, listener]) native.close(fd);
    expect(native.unixConnect(path)).toBe(-111);
  });

  it("answers invalid socket paths and descriptors with errors", () => {
    expect(native.unixListen(`${scratch.path}/${"x".repeat(120)}`, 0o600, 1)).toBe(-errno.ENAMETOOLONG);
    expect(native.unixListen(`${scratch.path}/no/s`, 0o600, 1)).toBe(-errno.ENOENT);
    expect(native.unixListen("", 0o600, 1)).toBe(-errno.ENOENT);
    expect(native.peerCredentials(scratch.dir)).toBe(-88);
    expect(native.peerGroups(scratch.dir, new Uint32Array(1))).toBe(-88);
    expect(native.peerPidfd(scratch.dir)).toBe(-88);
    expect(native.socketKind(scratch.dir)).toBe(-88);
  });
});
