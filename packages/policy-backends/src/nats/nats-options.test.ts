// Credentials for NATS servers, and their transport: a token in clear is warned of, and tls:// means TLS.
import { expect, it } from "vitest";
import { z } from "zod";
import { NATS_SHAPE, natsServers } from "./nats-options.js";

const context = {
  read: () => Buffer.from("t0ken\n"),
  problem: (path: readonly PropertyKey[], message: string, remedy: string) => new Error(`${path.join(".")}: ${message}: ${remedy}`),
};
const schema = z.strictObject(NATS_SHAPE);

function read(options: Record<string, unknown>): { warnings: string[]; tls: boolean; token: string | undefined } {
  const warnings: string[] = [];
  const { tls, token } = natsServers(schema.parse(options), context, ({ message }) => void warnings.push(message));
  return { warnings, tls, token };
}

it.each([
  [{ servers: "nats://nats-1:4222" }],
  [{ servers: "10.0.0.1:4222" }],
  [{ servers: ["nats://127.0.0.1:4222", "nats://nats-2"] }],
  [{ servers: "127.0.0.1.example:4222" }],
])("a token to %j may be read by others, which is told", (options) => {
  expect(read({ ...options, tokenFile: "token" })).toEqual({
    warnings: [expect.stringMatching(/^tokenFile: the token goes to NATS in clear: .*tls:\/\//)],
    tls: false,
    token: "t0ken",
  });
  expect(read(options).warnings).toEqual([]);
});

it.each([
  [{ servers: "nats://127.0.0.1:4222" }, false],
  [{ servers: "localhost" }, false],
  [{ servers: "nats://[::1]:4222/" }, false],
  [{ servers: "nats://nats-1:4222", caFile: "ca.pem" }, false],
  [{ servers: ["tls://nats-1:4222", "tls://nats-2:4222"] }, true],
])("a token to %j is nobody else's", (options, tls) => {
  expect(read({ ...options, tokenFile: "token" })).toMatchObject({ warnings: [], tls });
});

it.each(["nats://user:password@nats-1:4222", "t0ken@nats-1", "http://nats-1", "ws://nats-1:80", "nats://nats-1/x", ""])(
  "%j is no server",
  (servers) => expect(schema.safeParse({ servers }).success).toBe(false),
);
