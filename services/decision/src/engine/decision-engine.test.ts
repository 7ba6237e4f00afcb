import type { Question } from "@sluice/decision-api";
import { loadPolicy, type Policy, type PolicyBackend, type Ruling } from "@sluice/policy-backends";
import { silentLogger } from "@sluice/runtime";
import { createRegistry, decisionMetrics } from "@sluice/runtime/metrics";
import { describe, expect, it } from "vitest";
import { openDecisionLog } from "../audit/decision-log.js";
import { DecisionEngine } from "./decision-engine.js";
import { quietDesk } from "../testing/quiet-desk.js";

const question: Question = {
  id: "q",
  operation: "open",
  accesses: ["read"],
  subject: { uid: 1, gid: 1, groups: [], pid: 1 },
  resource: { mount: "m", paths: ["a"], layer: "upper", kind: "regular", sizeBytes: 0n, mode: 0, uid: 0, gid: 0, xattrs: new Map() },
  openFlags: 0,
  missing: [],
};
const next = loadPolicy(Buffer.from("version: 1\ndefault: deny\n"), "next", "next").policy;

/** A policy that answers when it is told to, and a backend that swaps to another at once. */
function scripted(): { backend: PolicyBackend & { policy: Policy }; answer(ruling: Ruling): void; fail(error: Error): void } {
  let answer: (ruling: Ruling) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const base = loadPolicy(Buffer.from("version: 1\ndefault: grant\n"), "slow", "slow").policy;
  const evaluate = (): Promise<Ruling> =>
    new Promise((resolve, reject) => {
      answer = resolve;
      fail = reject;
    });
  const backend = {
    name: "scripted",
    policy: { ...base, evaluate } as Policy,
    failure: undefined,
    refresh: () => ({ state: "unchanged" as const }),
    watchedDirectories: [],
    dispose: () => Promise.resolve(),
  };
  return { backend, answer: (ruling) => answer(ruling), fail: (error) => fail(error) };
}

function engineOf(backend: PolicyBackend): DecisionEngine {
  return new DecisionEngine({
    backend,
    log: silentLogger(),
    metrics: decisionMetrics(createRegistry(false)),
    decisionLog: openDecisionLog("off", {}),
    people: quietDesk(),
  });
}
const granted: Ruling = { effect: "grant", errno: 0, rule: "old", reason: "old", obligations: [] };

describe("a policy that is swapped while it is thinking", () => {
  it("does not answer any more: the one in force does", async () => {
    const { backend, answer } = scripted();
    const decision = engineOf(backend).decide(question);
    backend.policy = next;
    answer(granted);
    expect(await decision).toMatchObject({ effect: "deny", policyId: "next", revision: next.revision });
  });

  it("loses no question by failing", async () => {
    const { backend, fail } = scripted();
    const decision = engineOf(backend).decide(question);
    backend.policy = next;
    fail(new Error("closed"));
    expect(await decision).toMatchObject({ effect: "deny", policyId: "next" });
  });

  it("answers, and fails, by itself while it is in force", async () => {
    const { backend, answer, fail } = scripted();
    const engine = engineOf(backend);
    const decision = engine.decide(question);
    answer(granted);
    expect(await decision).toMatchObject({ effect: "grant", rule: "old", policyId: "slow" });
    const failing = engine.decide(question);
    fail(new Error("broken"));
    await expect(failing).rejects.toThrow("broken");
  });
});
