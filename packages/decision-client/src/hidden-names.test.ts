import { type Decider, plainQuestion, wire } from "@sluice/decision-api";
import { afterEach, expect, it } from "vitest";
import { connectDecider, whenReady } from "./connect.js";
import { answer, CAPABILITIES, grantFor, type Script, ScriptedService } from "./testing/scripted-service.js";

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const welcome =
  (capabilities: wire.Capabilities): NonNullable<Script["welcome"]> =>
  (stream) =>
    void stream.write({ message: { $case: "welcome", value: { serverVersion: "t", capabilities } } });

async function hiding(digit: string, hiddenNames: string[], batch: Script["batch"] = () => undefined): Promise<ScriptedService> {
  const capabilities: wire.Capabilities = { ...CAPABILITIES, revision: { sequence: 0n, digest: digit.repeat(64) }, hiddenNames };
  const service = new ScriptedService({ welcome: welcome(capabilities), batch });
  open.push(() => service.end());
  await service.start();
  return service;
}

function connect(...services: readonly ScriptedService[]): Decider {
  const decider = connectDecider({ target: services.map(({ target }) => target).join(","), mount: "m", clientVersion: "0" });
  open.push(() => decider.close());
  return decider;
}

const hidden = (decider: Decider): string[] | undefined => {
  const names = decider.capabilities()?.hiddenNames;
  return names === undefined ? undefined : [...names].sort();
};

it("hides what any replica hides, and no more of a replica that is gone", async () => {
  const [one, other] = [await hiding("a", ["**/.env"]), await hiding("b", ["**/*.key"])];
  const decider = connect(one, other);
  await expect.poll(() => hidden(decider)).toEqual(["**/*.key", "**/.env"]);
  const told: unknown[] = [];
  decider.onPolicyChange((capabilities) => told.push(capabilities.hiddenNames));
  one.kill();
  await expect.poll(() => hidden(decider)).toEqual(["**/*.key"]);
  expect(told).toEqual([["**/*.key"]]);
  other.kill();
  await expect.poll(() => decider.status().replicas.every(({ state }) => state !== "ready")).toBe(true);
  expect(hidden(decider)).toEqual(["**/*.key"]);
});

it("keeps the hidden names and accesses of the newest policy if the service comes back with an older one", async () => {
  const newer = {
    ...CAPABILITIES,
    revision: { sequence: 2n, digest: "b".repeat(64) },
    hiddenNames: ["**/.env"],
    accesses: [wire.Access.DELETE],
  };
  const service = await hiding("a", []);
  service.script.welcome = welcome(newer);
  const decider = connect(service);
  await whenReady(decider, 5000);
  const told: unknown[] = [];
  decider.onPolicyChange((capabilities) => told.push(capabilities));
  const before = decider.capabilities();
  expect(before).toMatchObject({ hiddenNames: ["**/.env"], accesses: new Set(["delete"]) });
  service.kill();
  service.script.welcome = welcome({ ...CAPABILITIES, revision: { sequence: 1n, digest: "a".repeat(64) } });
  await service.start();
  await expect.poll(() => decider.status().replicas[0]).toMatchObject({ state: "ready", revision: { sequence: 1n } });
  expect(decider.capabilities()).toBe(before);
  expect(told).toEqual([]);
});

it("asks about a hidden name in spite of a cached answer for the directory", async () => {
  const asked: string[] = [];
  const service = await hiding("d", ["**/.env"], (stream, questions) => {
    asked.push(...questions.map(({ question }) => Buffer.from(question?.resource?.paths[0] ?? []).toString()));
    const scope = {
      subtree: Buffer.alloc(0),
      except: [],
      subjectFields: [],
      resourceFacts: [],
      xattrs: [],
      accesses: [wire.Access.READ],
      ttl: undefined,
    };
    answer(
      stream,
      questions.map(({ id }) => grantFor(id, { scope, revision: { sequence: 0n, digest: "d".repeat(64) } })),
    );
  });
  const decider = connect(service);
  await whenReady(decider, 5000);
  for (const path of ["a/x", "a/y", "a/.env", "a/.env"]) await decider.decide(plainQuestion(path), undefined);
  expect(asked).toEqual(["a/x", "a/.env", "a/.env"]);
});

it("takes no policy with a pattern that it does not understand", async () => {
  const decider = connect(await hiding("c", ["a/**b"]));
  await expect.poll(() => decider.status().replicas[0]?.state).toBe("backoff");
  expect(decider.capabilities()).toBeUndefined();
});
