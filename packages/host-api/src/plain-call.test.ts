import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { HostUnreachable, mountPlainly } from "./plain.js";

const SPEC = { mountpoint: "/view", options: [], directory: "/", attached: true, abandonedAtEnd: true, mountNamespace: 0 };
const QUIET = { announce: () => undefined, tell: () => undefined, onStop: () => () => undefined };

test("the caller hears that the request has left before the service says anything, and if nobody listens", async () => {
  const directory = mkdtempSync(join(tmpdir(), "plain-call-"));
  const path = join(directory, "host.sock");
  let text = "";
  const server = createServer((socket) => {
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString();
      socket.end();
    });
  }).listen(path);
  try {
    let ended = false;
    let call = Promise.resolve();
    await new Promise<void>((resolve) => {
      call = mountPlainly(path, SPEC, { ...QUIET, asked: resolve }).finally(() => (ended = true));
      call.catch(() => undefined);
    });
    expect(ended).toBe(false);
    await expect(call).rejects.toThrow(HostUnreachable);
    expect(text).toContain('"mountpoint":"/view"');
    const asked = new Promise<void>((resolve) => {
      const nobody = mountPlainly(join(directory, "none.sock"), SPEC, { ...QUIET, asked: resolve });
      nobody.catch(() => undefined);
    });
    await asked;
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
});

test("a service that says nothing is waited for until the second request to stop, or until the caller gives up", async () => {
  const directory = mkdtempSync(join(tmpdir(), "plain-call-"));
  const path = join(directory, "host.sock");
  let text = "";
  const server = createServer((socket) => void socket.on("data", (bytes: Buffer) => (text += bytes.toString()))).listen(path);
  try {
    let stop = (): void => undefined;
    const onStop = (request: () => void): (() => void) => {
      stop = request;
      return () => undefined;
    };
    let ended = false;
    const call = mountPlainly(path, SPEC, { ...QUIET, onStop }).finally(() => (ended = true));
    call.catch(() => undefined);
    stop();
    await expect.poll(() => text).toContain('"stop"');
    expect(ended).toBe(false);
    stop();
    await expect(call).rejects.toThrow(HostUnreachable);
    const abandon = new AbortController();
    const other = mountPlainly(path, SPEC, { ...QUIET, asked: () => abandon.abort(), signal: abandon.signal });
    await expect(other).rejects.toThrow(HostUnreachable);
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
});
