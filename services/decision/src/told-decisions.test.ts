// Reports of a decision service besides its answers: the watchers of a policy, the answers of a candidate, and its log.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { wire } from "@sluice/decision-api";
import { loadPolicy, type PolicyBackend, type Ruling } from "@sluice/policy-backends";
import { createLogger } from "@sluice/runtime";
import { createRegistry } from "@sluice/runtime/metrics";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DecisionService, type DecisionServiceOptions, startDecisionService } from "./index.js";
import { decide, question } from "./testing/wire-question.js";

let directory = "";
let policy = "";
const closers: (() => unknown)[] = [];
const policyText = (effect: string, path = "**"): string =>
  `version: 1\ndefault: grant\nrules:\n  - {name: r, path: '${path}', effect: ${effect}}\n`;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "sluice-told-"));
  policy = join(directory, "policy.yaml");
  writeFileSync(policy, policyText("mediate", "m/**"));
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  rmSync(directory, { recursive: true });
});

async function start(options: Partial<DecisionServiceOptions> = {}): Promise<DecisionService> {
  const service = await startDecisionService({ policy, listen: { kind: "unix", path: join(directory, "d.sock") }, ...options });
  closers.push(() => service.drain(100));
  return service;
}

function client(): wire.DecisionServiceClient {
  const made = new wire.DecisionServiceClient(`unix:${directory}/d.sock`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  closers.push(() => made.close());
  return made;
}

describe("a decision", () => {
  it("is logged though whoever asked is gone", async () => {
    const log = join(directory, "decisions.log");
    const { policy: ready } = loadPolicy(Buffer.from("version: 1\ndefault: grant\n"), "p", "p");
    let answer: (() => void) | undefined;
    const evaluate = (asked: Parameters<typeof ready.evaluate>[0]): Promise<Ruling> =>
      new Promise((resolve) => {
        answer = (): void => resolve(ready.evaluate(asked) as Ruling);
      });
    const backend: PolicyBackend = {
      name: "slow",
      failure: undefined,
      watchedDirectories: [],
      refresh: () => ({ state: "unchanged" }),
      dispose: () => Promise.resolve(),
      policy: { ...ready, evaluate },
    };
    const service = await start({ policy: backend, decisionLog: { file: log } });
    const stream = client().session();
    stream.on("error", () => undefined);
    stream.write({ message: { $case: "hello", value: { mount: "m", clientVersion: "0" } } });
    const pending = { id: 1n, question: question("a"), timeout: undefined, questionId: "q1" };
    stream.write({ message: { $case: "batch", value: { questions: [pending] } } });
    await expect.poll(() => answer).toBeDefined();
    stream.cancel();
    await expect.poll(() => service.status().sessions).toBe(0);
    answer?.();
    await expect.poll(() => readFileSync(log, "utf8")).toContain('"question_id":"q1"');
  });
});

describe("a report of enforced decisions", () => {
  const reportOf = (path: string): wire.EnforcedReport => {
    const caller = { uid: 1, pid: 2, program: "/bin/cat", path: Buffer.from(path), sinceMs: 1n };
    const rest = { errno: 13, rule: "r", reason: "", decisionId: "d", source: "cache", operation: wire.Operation.OPEN };
    return { decisions: [{ ...caller, ...rest, effect: wire.Effect.DENY, accesses: [], count: 3n }], unnamed: [], missed: 0n };
  };

  /** Says what it is told, then asks: the answer shows that the session goes on. */
  async function sayAndAsk(reports: readonly wire.EnforcedReport[]): Promise<void> {
    const answers: wire.Answer[] = [];
    const stream = client().session();
    stream.on("error", () => undefined);
    stream.on("data", ({ message }: wire.SessionResponse) => message?.$case === "batch" && answers.push(...message.value.answers));
    closers.push(() => stream.cancel());
    stream.write({ message: { $case: "hello", value: { mount: "m", clientVersion: "0" } } });
    for (const value of reports) stream.write({ message: { $case: "enforced", value } });
    const pending = { id: 1n, question: question("a"), timeout: undefined, questionId: "q1" };
    stream.write({ message: { $case: "batch", value: { questions: [pending] } } });
    await expect.poll(() => answers.length).toBe(1);
  }

  it("is shown by a console, and one beyond the limits is not", async () => {
    const service = await start({ admin: "127.0.0.1:0" });
    await sayAndAsk([reportOf("x".repeat(1_025)), reportOf("key")]);
    const response = await fetch(`http://${service.adminAddress}/console/api/decisions`);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const { value } = await reader.read();
    await reader.cancel();
    const { decisions } = JSON.parse(Buffer.from(value ?? []).toString("utf8")) as { decisions: object[] };
    expect(decisions).toMatchObject([
      { path: "key", mount: "m", program: "/bin/cat", rule: "r", source: "cache", count: 3 },
      { path: "a", program: null, source: "service" },
    ]);
  });

  it("is ignored by a service without a console", async () => {
    await start();
    await sayAndAsk([reportOf("key")]);
  });
});

describe("a watcher", () => {
  it("hears of the policy in force, of each that follows before its first answer, and of an edit that is refused", async () => {
    await start();
    const watcher = client();
    const heard: wire.Capabilities[] = [];
    const stream = watcher.watch({});
    stream.on("data", ({ message }: wire.WatchResponse) => message?.$case === "policy" && heard.push(message.value));
    stream.on("error", () => undefined);
    closers.push(() => stream.cancel());
    await expect.poll(() => heard.length).toBe(1);
    for (let round = 0; round < 10; round++) {
      writeFileSync(policy, policyText(round % 2 === 0 ? "deny" : "mediate"));
      const { decision } = await decide(watcher, { questionId: `q${round}`, question: question("a") });
      expect(heard.at(-1)?.revision?.digest).toBe(decision?.revision?.digest);
      expect(heard.length).toBeGreaterThanOrEqual(round + 2);
    }
    const { digest } = heard.at(-1)?.revision ?? {};
    writeFileSync(policy, "version: 1\ndefault: grnt\n");
    await expect.poll(() => heard.at(-1)?.refusedEdit).toContain("did you mean 'grant'?");
    expect(heard.at(-1)?.revision?.digest).toBe(digest);
  });
});

describe("a candidate in the shadow", () => {
  it("shows each difference in the log as it happens, and in the metrics", async () => {
    const registry = createRegistry(false);
    const logFile = join(directory, "service.log");
    writeFileSync(policy, `kind: shadow\nenforce: ${directory}/now.yaml\ncandidate: ${directory}/next.yaml\n`);
    writeFileSync(join(directory, "now.yaml"), policyText("mediate", "m/**"));
    writeFileSync(join(directory, "next.yaml"), policyText("deny", "m/x"));
    await start({ registry, log: createLogger({ name: "d", level: "info", file: logFile }) });
    const asker = client();
    for (const path of ["m/x", "m/y", "a"]) await decide(asker, { questionId: path, question: question(path) });
    const differences = (): object[] =>
      readFileSync(logFile, "utf8")
        .split("\n")
        .filter((line) => line.includes("decides differently"))
        .map((line) => JSON.parse(line) as object);
    await expect.poll(differences).toMatchObject([
      { path: "m/x", inForce: { effect: "mediate" }, candidate: { effect: "deny", rule: "r" } },
      { path: "m/y", inForce: { effect: "mediate" }, candidate: { effect: "grant", rule: "default" } },
    ]);
    const metrics = await registry.metrics();
    expect(metrics).toContain('sluice_shadow_differences_total{in_force="mediate",candidate="deny"} 1');
    expect(metrics).toContain('sluice_shadow_comparisons_total{outcome="same"} 1');
  });
});
