/** Connections to an engine elsewhere are kept, and an engine that was restarted has closed all of them. */
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { JsonClient } from "./json-client.js";

const AT_ONCE = 8;

it("asks by a new connection if each of those that are kept is closed at its next request", async () => {
  const used = new Set<Socket>();
  const server = createServer((request, response) => {
    const { socket } = request;
    if (used.has(socket)) return socket.destroy();
    used.add(socket);
    // Until all have come, so that each has a connection of its own.
    const answer = (): unknown => (used.size < AT_ONCE ? setTimeout(answer, 1) : response.end("{}"));
    return answer();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = new JsonClient({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: undefined,
    ca: undefined,
    timeoutMs: 20_000,
  });
  onTestFinished(async () => {
    await client.close();
    server.close();
  });
  await Promise.all(Array.from({ length: AT_ONCE }, () => client.send("/", {})));
  expect(await client.send("/", {})).toEqual({ status: 200, body: {} });
  expect(used.size).toBe(AT_ONCE + 1);
});
