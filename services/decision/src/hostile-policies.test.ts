// Policies made to hurt, delivered to a service that is being asked all the while: each is refused, and no answer is wrong or lost.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { wire } from "@sluice/decision-api";
import { tarGz } from "@sluice/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type DecisionService, startDecisionService } from "./index.js";
import { decide, question } from "./testing/wire-question.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-hostile-policies-"));
let served: { bytes: Buffer | string; etag: string };
let server: Server;
let service: DecisionService;
let client: wire.DecisionServiceClient;

beforeAll(async () => {
  served = { bytes: "version: 1\nrevision: 1\ndefault: mediate\n", etag: '"first"' };
  server = createServer(({ headers }, response) => {
    if (headers["if-none-match"] === served.etag) response.writeHead(304).end();
    else response.writeHead(200, { etag: served.etag }).end(served.bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const policy = join(directory, "policy.yaml");
  writeFileSync(policy, `kind: bundle\nurl: http://127.0.0.1:${(server.address() as { port: number }).port}/\npoll: 20ms\n`);
  service = await startDecisionService({ policy, listen: { kind: "unix", path: join(directory, "d.sock") } });
  client = new wire.DecisionServiceClient(service.target.replace("unix://", "unix:"), credentials.createInsecure());
});
afterAll(async () => {
  client?.close();
  await service?.drain(100);
  server?.closeAllConnections();
  server?.close();
  rmSync(directory, { recursive: true });
});

const aliases = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 9 }, (_, i) => {
  const [name, before] = ["bcdefghij"[i] as string, "abcdefghi"[i] as string];
  return `${name}: &${name} [${Array.from({ length: 10 }, () => `*${before}`).join(",")}]`;
}).join("\n")}\nversion: 1\ndefault: deny\n`;
const cel = (when: string): string => `version: 1\ndefault: deny\nrules:\n  - { name: r, effect: grant, when: ${JSON.stringify(when)} }\n`;

it.each<[string, Buffer | string, RegExp]>([
  ["of 100 MB", Buffer.alloc(100 * 1024 * 1024, 0x61), /larger than/],
  ["that unpacks to 100 MB", tarGz({ "policy.yaml": Buffer.alloc(100 * 1024 * 1024, 0x20) }), /unpacks to more than/],
  ["of aliases of aliases", aliases, /aliases stand for too much|not known here/],
  ["nested as deep as it is long", `version: 1\ndefault: ${"[".repeat(1_000_000)}`, /nested too deeply/],
  ["with a condition as deep as it is long", cel(`${"(".repeat(100_000)}true${")".repeat(100_000)}`), /nest|deep|long/],
  ["that is no text", Buffer.from([0xff, 0xfe, 0, 0]), /UTF-8/],
])("one %s is refused, and everybody is answered by the policy in force", { timeout: 60_000 }, async (name, bytes, message) => {
  let running = true;
  const answers: string[] = [];
  const asker = async (): Promise<void> => {
    while (running) {
      const { decision } = await decide(client, { questionId: "q", question: question(`${"n".repeat(255)}/`.repeat(15) + "\xff") });
      answers.push(wire.Effect[decision?.effect ?? 0] as string);
    }
  };
  const askers = Array.from({ length: 8 }, asker);
  served = { bytes, etag: `"${name}"` };
  await expect.poll(() => service.status().reloadFailure, { timeout: 30_000, interval: 5 }).toMatch(message);
  const before = answers.length;
  await expect.poll(() => answers.length, { timeout: 30_000 }).toBeGreaterThan(before + 50);
  running = false;
  await Promise.all(askers);
  expect(new Set(answers)).toEqual(new Set(["MEDIATE"]));
});
