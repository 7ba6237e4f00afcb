import { statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { ask, connectControl } from "./control-client.js";
import type { ControlRequest } from "./control-protocol.js";
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
  for await (const item of ask(socket, request, "/mnt", false)) items.push(item);
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
    async (_request, send) => {
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

test("nonsense and endless requests are refused, and the server lives on", () =>
  served(
    async (_request, send) => send("ok"),
    async (path) => {
      expect(await raw(path, "GET / HTTP/1.1\r\n\r\n")).toBe('{"error":"unknown request"}\n');
      expect(await raw(path, '{"method":"reboot"}\n')).toBe('{"error":"unknown request"}\n');
      expect(await raw(path, "x".repeat(100_000))).toBe("");
      expect(await itemsOf(path, { method: "status" })).toEqual(["ok"]);
    },
  ));

test("the socket file of a dead server is replaced, that of a living one is not", async () => {
  const path = join(scratch(), "c.sock");
  const first = await startControlServer(path, async () => undefined);
  await expect(startControlServer(path, async () => undefined)).rejects.toThrow(/another process listens/);
  await first.close();
  const again = await startControlServer(path, async () => undefined);
  await again.close();
});
