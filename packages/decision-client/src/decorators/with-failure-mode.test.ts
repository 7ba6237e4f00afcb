import { type Decision, DecisionError, NO_SUBTREE, type OutageEffect, plainQuestion, type Question } from "@sluice/decision-api";
import { expect, it } from "vitest";
import { type OutageMode, withFailureMode } from "./with-failure-mode.js";

const STALE: OutageMode = { kind: "stale", staleForMs: 60_000 };
const SCOPE = { ...NO_SUBTREE, subject: [], resource: [], xattrs: [], accesses: ["read"], ttlMs: undefined } as const;
const answerOf = (change: Partial<Decision>): Decision => ({
  effect: "grant",
  errno: 0,
  decisionId: "d",
  policyId: "p",
  rule: "r",
  revision: { sequence: 1n, digest: "ab".repeat(32) },
  reason: "",
  obligations: [],
  source: "service",
  ...change,
});

/** `decide` asks a service that answers by `say`, until `gone` is set. */
function asker(mode: OutageMode, say: (question: Question) => Partial<Decision>) {
  const state = { gone: false, epoch: 1 };
  const ask = (question: Question): Promise<Decision> =>
    state.gone ? Promise.reject(new DecisionError("unreachable", "it is gone")) : Promise.resolve(answerOf(say(question)));
  const before = { revision: () => undefined, epoch: () => state.epoch, recall: () => undefined, nowMs: () => performance.now() };
  const decide = withFailureMode(ask, mode, before);
  const sourceOf = async (question: Question): Promise<string> => {
    const { effect, source } = await decide(question, undefined);
    return `${effect} ${source}`;
  };
  return { state, sourceOf };
}

const by = (executable: string): Question => {
  const question = plainQuestion("f");
  return { ...question, subject: { ...question.subject, executable } };
};
const withDigest = (digest: string): Question => {
  const question = plainQuestion("f");
  return { ...question, resource: { ...question.resource, digest } };
};

it("repeats no answer for another program if the rule looked at the program", async () => {
  const scope = { ...SCOPE, subject: ["executable"] } as const;
  const { state, sourceOf } = asker(STALE, ({ subject }) => ({ effect: subject.executable === "/bin/good" ? "grant" : "deny", scope }));
  expect(await sourceOf(by("/bin/good"))).toBe("grant service");
  state.gone = true;
  expect(await sourceOf(by("/bin/evil"))).toBe("deny outage");
  expect(await sourceOf(by("/bin/good"))).toBe("grant stale");
  state.gone = false;
  expect(await sourceOf(by("/bin/evil"))).toBe("deny service");
  state.gone = true;
  expect([await sourceOf(by("/bin/good")), await sourceOf(by("/bin/evil"))]).toEqual(["grant stale", "deny stale"]);
});

it("repeats no answer for changed content, whether or not the policy tells what it looked at", async () => {
  for (const scope of [undefined, { ...SCOPE, resource: ["digest"] } as const]) {
    const { state, sourceOf } = asker(STALE, () => ({ scope }));
    expect(await sourceOf(withDigest("aa"))).toBe("grant service");
    state.gone = true;
    expect(await sourceOf(withDigest("bb"))).toBe("deny outage");
    expect(await sourceOf(withDigest("aa"))).toBe("grant stale");
  }
});

it("repeats an answer whatever the facts are that the policy did not look at", async () => {
  const { state, sourceOf } = asker(STALE, () => ({ scope: SCOPE }));
  await sourceOf(withDigest("aa"));
  state.gone = true;
  expect(await sourceOf({ ...withDigest("bb"), missing: [{ name: "subject.groups", reason: "gone" }] })).toBe("grant stale");
});

it("repeats no answer if a fact that the policy looked at is missing now", async () => {
  const { state, sourceOf } = asker(STALE, () => ({ scope: { ...SCOPE, subject: ["executable"] } }));
  await sourceOf(by("/bin/good"));
  state.gone = true;
  expect(await sourceOf(plainQuestion("f"))).toBe("deny outage");
});

it("holds to the mode of a rule although a fact of its answer was missing, and repeats that answer for nobody", async () => {
  const missing = { ...plainQuestion("f"), missing: [{ name: "subject.groups", reason: "gone" }] };
  for (const onOutage of ["deny", "stale"] as const) {
    const { state, sourceOf } = asker({ kind: "mediate" }, () => ({ scope: { ...SCOPE, subject: ["groups"] }, onOutage }));
    await sourceOf(missing);
    state.gone = true;
    expect(await sourceOf(missing)).toBe("deny outage");
  }
});

it("repeats no answer of a policy that is not in force any more", async () => {
  const { state, sourceOf } = asker(STALE, () => ({ scope: SCOPE }));
  await sourceOf(plainQuestion("f"));
  state.epoch++;
  state.gone = true;
  expect(await sourceOf(plainQuestion("f"))).toBe("deny outage");
});

it.each<[OutageMode, OutageEffect, string]>([
  [{ kind: "deny" }, "mediate", "deny outage"],
  [{ kind: "mediate" }, "deny", "deny outage"],
  [{ kind: "mediate" }, "stale", "deny outage"],
  [{ kind: "mediate" }, "mediate", "mediate outage"],
])("holds to the stricter mode of the mount's, %o, and of a rule for another program: %s", async (mode, onOutage, expected) => {
  const { state, sourceOf } = asker(mode, () => ({ scope: { ...SCOPE, subject: ["executable"] }, onOutage }));
  await sourceOf(by("/bin/one"));
  state.gone = true;
  expect(await sourceOf(by("/bin/other"))).toBe(expected);
});

it("drops the answers that were given longest ago, and no others, if there are too many", async () => {
  const { state, sourceOf } = asker(STALE, () => ({ scope: { ...SCOPE, subject: ["executable"] } }));
  const of = (path: string, executable: string): Question => {
    const question = by(executable);
    return { ...question, resource: { ...question.resource, paths: [path] } };
  };
  for (let file = 0; file < 5_001; file++) for (const program of ["/a", "/b"]) await sourceOf(of(`f${file}`, program));
  state.gone = true;
  expect(await sourceOf(of("f0", "/a"))).toBe("deny outage");
  for (const file of ["f1", "f5000"]) for (const program of ["/a", "/b"]) expect(await sourceOf(of(file, program))).toBe("grant stale");
});

const openFor = (...accesses: Question["accesses"]): Question => ({ ...plainQuestion("f"), accesses });

it.each<[OutageMode, OutageEffect, string]>([
  [{ kind: "mediate" }, "deny", "deny outage"],
  [{ kind: "mediate" }, "stale", "deny outage"],
  [{ kind: "mediate" }, "mediate", "mediate outage"],
  [{ kind: "deny" }, "mediate", "deny outage"],
])("with %o, lets an open for reading and writing do no more than one of them, whose rule says %s", async (mode, onOutage, expected) => {
  const { state, sourceOf } = asker(mode, () => ({ scope: SCOPE, onOutage }));
  await sourceOf(openFor("read"));
  state.gone = true;
  expect(await sourceOf(openFor("read", "write"))).toBe(expected);
});

it.each<[OutageMode, string]>([
  [{ kind: "deny" }, "deny outage"],
  [{ kind: "mediate" }, "grant stale"],
  [STALE, "grant stale"],
])("repeats an answer that only one of its rules lets be stale, unless the mount denies: %o", async (mode, expected) => {
  const { state, sourceOf } = asker(mode, () => ({ scope: SCOPE, onOutage: "stale-unless-deny" }));
  await sourceOf(openFor("read", "write"));
  state.gone = true;
  expect(await sourceOf(openFor("read", "write"))).toBe(expected);
});
