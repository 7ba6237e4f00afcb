// The beginning of a session: Welcome is the first message, whatever happens in the moment in which its Hello comes.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import { wire } from "@sluice/decision-api";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type DecisionService, startDecisionService } from "./index.js";

let directory = "";
let policy = "";
let service: DecisionService;
let client: wire.DecisionServiceClient;

const edit = (rule: string): void =>
  writeFileSync(policy, `version: 1\ndefault: grant\nrules:\n  - {name: ${rule}, path: "m/**", effect: mediate}\n`);

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "sluice-greeting-"));
  policy = join(directory, "policy.yaml");
  edit("first");
  service = await startDecisionService({ policy, listen: { kind: "unix", path: join(directory, "d.sock") } });
  client = new wire.DecisionServiceClient(service.target.replace("unix://", "unix:"), credentials.createInsecure());
});
afterEach(async () => {
  client.close();
  await service.drain(100);
  rmSync(directory, { recursive: true });
});

/** A session with the kinds of the messages that it got. */
function begin(): { stream: ClientDuplexStream<wire.SessionRequest, wire.SessionResponse>; heard: string[] } {
  const heard: string[] = [];
  const stream = client.session();
  stream.on("data", ({ message }: wire.SessionResponse) => message !== undefined && heard.push(message.$case));
  stream.on("error", () => undefined);
  return { stream, heard };
}

const HELLO = { message: { $case: "hello" as const, value: { mount: "m", clientVersion: "0" } } };

it("begins with Welcome if the policy is edited at that moment", async () => {
  for (let number = 0; number < 20; number++) {
    edit(`edit-${number}`);
    const { stream, heard } = begin();
    stream.write(HELLO);
    await expect.poll(() => heard.length).toBeGreaterThan(0);
    expect(heard[0]).toBe("welcome");
    stream.cancel();
  }
});

it("is welcomed, and then told to go, if its Hello comes while the service ends", async () => {
  const { stream, heard } = begin();
  await expect.poll(() => service.status()).toMatchObject({ sessions: 1 });
  const drained = service.drain(30_000);
  stream.write(HELLO);
  await expect.poll(() => heard).toEqual(["welcome", "goAway"]);
  stream.end();
  await drained;
});
