import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { HostGone, HostSilent, HostUnreachable, mountPlainly } from "./plain.js";

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

/** Takes connections, reads them, and answers those whose first line `answers` says. */
async function withService(answers: (line: string) => string | undefined, use: (path: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "plain-call-"));
  const path = join(directory, "host.sock");
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes: Buffer) => {
      const answer = answers(bytes.toString());
      if (answer?.includes("refused") === true) socket.end(`${answer}\n`);
      else if (answer !== undefined) socket.write(`${answer}\n`);
    });
  }).listen(path);
  try {
    await use(path);
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
}

const SHORT = { quietMs: 50, answerMs: 300 };

test("a service that answers nobody any more before the mount serves is given up", async () => {
  const noAnswer = (): undefined => undefined;
  await withService(noAnswer, async (path) => {
    await expect(mountPlainly(path, SPEC, QUIET, SHORT)).rejects.toThrow(HostSilent);
  });
});

test("a service that answers others is waited for, and one that serves the mount is not asked again", async () => {
  let probes = 0;
  const refuse = (line: string): string | undefined => {
    if (!line.includes('"attach"')) return undefined;
    probes++;
    return JSON.stringify({ $case: "refused", value: "no such mount" });
  };
  await withService(refuse, async (path) => {
    const abandon = new AbortController();
    const call = mountPlainly(path, SPEC, { ...QUIET, signal: abandon.signal }, SHORT);
    call.catch(() => undefined);
    await expect.poll(() => probes, { timeout: 10_000 }).toBeGreaterThan(2);
    abandon.abort();
    await expect(call).rejects.not.toThrow(HostSilent);
  });
  const serve = (line: string): string | undefined =>
    line.includes('"begin"') ? JSON.stringify({ $case: "mounted", value: { line: "serves", mountpoint: "" } }) : undefined;
  await withService(serve, async (path) => {
    const abandon = new AbortController();
    let line = "";
    const call = mountPlainly(path, SPEC, { ...QUIET, announce: (text) => (line = text), signal: abandon.signal }, SHORT);
    call.catch(() => undefined);
    await expect.poll(() => line).toBe("serves");
    await sleep(2 * (SHORT.quietMs + SHORT.answerMs));
    abandon.abort();
    await expect(call).rejects.toThrow(HostGone);
  });
});
