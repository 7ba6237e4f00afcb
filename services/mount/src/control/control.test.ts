import { statSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { native } from "@sluice/native";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { ask, askOnce, connectControl, type ControlRequest, type KeeperRequest } from "@sluice/mount-control";
import { type ControlHandler, startControlServer } from "./control-server.js";

async function served(handler: ControlHandler, use: (path: string) => Promise<void>): Promise<void> {
  const path = join(scratch(), "c.sock");
  const server = await startControlServer(path, handler);
  try {
    await use(path);
  } finally {
    await server.close();
  }
}

async function itemsOf(path: string, request: ControlRequest): Promise<unknown[]> {
  const socket = await connectControl("/mnt", path);
  if (socket === undefined) throw new Error("nobody listens");
  const items: unknown[] = [];
  for await (const item of ask(socket, request, "/mnt")) items.push(item);
  return items;
}

function raw(path: string, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk.toString();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(answer));
    socket.write(text);
  });
}

test("items come in order, the socket is its owner's alone", () =>
  served(
    async (_request, { send }) => {
      send({ n: 1n });
      send("two");
    },
    async (path) => {
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(await itemsOf(path, { method: "status" })).toEqual([{ n: "1" }, "two"]);
    },
  ));

test("a handler that fails is an error of the request alone", () =>
  served(
    async (request) => {
      if (request.method === "status") throw new Error("no status today");
    },
    async (path) => {
      await expect(itemsOf(path, { method: "status" })).rejects.toThrow(/no status today/);
      expect(await itemsOf(path, { method: "grants", watch: false })).toEqual([]);
    },
  ));

test("refuses malformed and endless requests, and keeps serving", () =>
  served(
    async (_request, { send }) => send("ok"),
    async (path) => {
      expect(await raw(path, "GET / HTTP/1.1\r\n\r\n")).toBe('{"error":"unknown request"}\n');
      expect(await raw(path, '{"method":"reboot"}\n')).toBe('{"error":"unknown request"}\n');
      expect(await raw(path, "x".repeat(100_000))).toBe("");
      expect(await itemsOf(path, { method: "status" })).toEqual(["ok"]);
    },
  ));

test("waits for a place in the full queue of a daemon that accepts nobody", async () => {
  const path = join(scratch(), "full.sock");
  const fd = native.unixListen(path, 0o600, 1);
  const isTaken = (socket: Socket): Promise<boolean> =>
    new Promise((resolve) => socket.once("connect", () => resolve(true)).once("error", () => resolve(false)));
  const waiting: Socket[] = [];
  for (let socket = connect(path); await isTaken(socket); socket = connect(path)) waiting.push(socket);
  expect(waiting.length).toBeGreaterThan(0);
  const found = connectControl("/mnt", path);
  expect(await Promise.race([found.catch(String), sleep(300, "waits")])).toBe("waits");
  const server = createServer((one) => one.once("data", () => one.end("alive\n"))).listen({ fd });
  const socket = await found;
  expect(socket).toBeDefined();
  for (const one of [...waiting, socket]) one?.destroy();
  server.close();
});

test("the socket file of a dead server is replaced, that of a living one is not", async () => {
  const path = join(scratch(), "c.sock");
  const first = await startControlServer(path, async () => undefined);
  await expect(startControlServer(path, async () => undefined)).rejects.toThrow(/another process listens/);
  await first.close();
  const again = await startControlServer(path, async () => undefined);
  await again.close();
});

test("the socket of a server that is about to die is waited for", async () => {
  const path = join(scratch(), "c.sock");
  const dying = await startControlServer(path, async () => undefined);
  const next = startControlServer(path, async () => undefined);
  expect(await Promise.race([next, sleep(150, "waits")])).toBe("waits");
  await dying.close();
  await (await next).close();
});

const ENDED = "/mnt: the daemon ended before it answered (EPIPE): see its log";

/** Of a server that answers the first connection, the proof that it is alive, and ends before it looks at the next one. */
async function cutOff(): Promise<Socket> {
  const path = join(scratch(), "c.sock");
  let connections = 0;
  const server = createServer((socket) =>
    connections++ === 0 ? socket.end("alive\n") : server.close(() => undefined) && socket.destroy(),
  );
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const socket = await connectControl("/mnt", path);
  if (socket === undefined) throw new Error("nobody listens");
  return socket;
}

async function itemsWhereCutOff(request: ControlRequest | KeeperRequest): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const item of ask(await cutOff(), request, "/mnt")) items.push(item);
  return items;
}

test("a server that ends with a question unanswered is a failure, but the end of a watch", async () => {
  await expect(itemsWhereCutOff({ method: "unmount", force: false })).rejects.toThrow(ENDED);
  await expect(itemsWhereCutOff({ method: "upgrade", file: "/x", argv: [] })).rejects.toThrow(ENDED);
  await expect(itemsWhereCutOff({ method: "grants", watch: false })).rejects.toThrow(ENDED);
  expect(await itemsWhereCutOff({ method: "grants", watch: true })).toEqual([]);
});

/** Closes so many connections at once, and then answers. */
async function answeringAfter(closed: number, use: (path: string) => Promise<void>, answer = '{"item":"there"}\n'): Promise<void> {
  const path = join(scratch(), "c.sock");
  let connections = 0;
  const server = createServer((socket) => (connections++ < closed ? socket.destroy() : socket.end(answer)));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await use(path);
  } finally {
    server.close();
  }
}

test("asks the next server if a server ends during a request that changes nothing", async () => {
  const status = { method: "status" } as const;
  await answeringAfter(2, async (path) => expect(await askOnce("/mnt", path, status)).toBe("there"));
  const lives = "/mnt: the daemon lives, and closes connections unanswered (EPIPE)";
  await answeringAfter(Number.POSITIVE_INFINITY, (path) => expect(askOnce("/mnt", path, status)).rejects.toThrow(lives));
  const path = join(scratch(), "c.sock");
  const server = createServer((socket) => server.close(() => socket.destroy()) && socket.destroy());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  await expect(askOnce("/mnt", path, status)).rejects.toThrow("/mnt: no Sluice daemon answers for this mount point (ENOENT)");
});

test("recognizes a process that is not a daemon", () =>
  answeringAfter(
    0,
    (path) =>
      expect(askOnce("/mnt", path, { method: "status" })).rejects.toThrow(
        "/mnt: the process that answers is not a Sluice daemon (EPROTO): check --control",
      ),
    "HTTP/1.1 400 Bad Request\r\n",
  ));
