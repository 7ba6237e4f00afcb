import { type Decision, DecisionError, type PolicyCapabilities, type Question } from "@sluice/decision-api";
import type { Intent, Ruling } from "@sluice/overlay";
import { decisionOf, ScriptedDecider } from "@sluice/testkit";
import { type CallContext, Errno } from "@sluice/vfs";
import { expect, test } from "vitest";
import { Grants } from "./grants.js";
import { PolicyGate } from "./policy-gate.js";

const EACCES = 13;
const EPERM = 1;
const EINTR = 4;

function call(signal = new AbortController().signal): CallContext {
  return { uid: 1000, gid: 100, pid: 0, groups: undefined, signal };
}

function intent(changes: Partial<Intent> = {}): Intent {
  return {
    operation: "open",
    accesses: ["read"],
    paths: ["a"],
    layer: "lower0",
    attr: attributes({}),
    openFlags: 0,
    readXattr: () => undefined,
    content: undefined,
    ...changes,
  };
}

function attributes(changes: Partial<Intent["attr"]>): Intent["attr"] {
  return { mode: 0o100644, uid: 0, gid: 0, sizeExact: 0n, ...changes };
}

function gateOf(decider: ScriptedDecider, goesOn = false): { gate: PolicyGate; grants: Grants; decided: Decision[]; anomalies: string[] } {
  const grants = new Grants();
  const decided: Decision[] = [];
  const anomalies: string[] = [];
  const events = {
    decided: (decision: Decision) => void decided.push(decision),
    recalled: (decision: Decision) => void decided.push(decision),
    audited: () => undefined,
    anomaly: (message: string) => void anomalies.push(message),
  };
  return { gate: new PolicyGate({ decider, mount: { mount: "m" }, grants, events, goesOn }), grants, decided, anomalies };
}

const ask = async (decider: ScriptedDecider, what = intent()): Promise<Ruling> => gateOf(decider).gate.authorize(call(), what);

test("grant, mediate and deny are enforced as they are", async () => {
  expect(await ask(new ScriptedDecider("grant"))).toMatchObject({ effect: "grant" });
  expect(await ask(new ScriptedDecider("mediate"))).toMatchObject({ effect: "mediate" });
  expect(await ask(new ScriptedDecider(() => decisionOf("deny", { errno: EPERM })))).toMatchObject({ effect: "deny", errno: EPERM });
  expect(await ask(new ScriptedDecider(() => decisionOf("deny", { errno: 0 })))).toMatchObject({ effect: "deny", errno: EACCES });
});

test("without a policy nothing is asked", () => {
  const decider = new ScriptedDecider("deny", { unconditionalGrant: true });
  const { gate } = gateOf(decider);
  expect(gate.active).toBe(false);
  expect(gate.governs("rename")).toBe(false);
  expect(gate.authorize(call(), intent())).toMatchObject({ effect: "grant" });
  expect(decider.questions).toEqual([]);
});

test("denies an unknown effect", async () => {
  const { gate, anomalies } = gateOf(new ScriptedDecider(() => ({ ...decisionOf("grant"), effect: "allow" as never })));
  expect(await gate.authorize(call(), intent())).toMatchObject({ effect: "deny", errno: EACCES });
  expect(anomalies).toHaveLength(1);
});

test("an obligation that cannot be honoured is a denial, and says so", async () => {
  const { gate, decided } = gateOf(new ScriptedDecider(() => decisionOf("grant", { obligations: [{ name: "audit", value: "each-io" }] })));
  expect(await gate.authorize(call(), intent())).toMatchObject({ effect: "deny", errno: EACCES });
  expect(decided[0]?.reason).toContain('obligation "audit"');
});

test("a decider that fails, of itself or by a bug, is a denial and no exception", async () => {
  const failing = [new DecisionError("unreachable", "away"), new TypeError("bug")];
  for (const error of failing) {
    const { gate, anomalies } = gateOf(new ScriptedDecider(() => Promise.reject(error)));
    expect(await gate.authorize(call(), intent())).toMatchObject({ effect: "deny", errno: EACCES });
    expect(anomalies).toHaveLength(1);
    const throwing = gateOf(
      new ScriptedDecider(() => {
        throw error;
      }),
    );
    expect(await throwing.gate.authorize(call(), intent())).toMatchObject({ effect: "deny" });
  }
});

test("the caller's interruption rejects, and only that", async () => {
  const caller = new AbortController();
  const decider = new ScriptedDecider(
    (_question, signal) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener("abort", () => reject(new DecisionError("cancelled", "interrupted")));
      }),
  );
  const { gate, anomalies } = gateOf(decider);
  const ruling = gate.authorize(call(caller.signal), intent());
  caller.abort();
  await expect(ruling).rejects.toMatchObject({ name: "AbortError" });
  expect(anomalies).toEqual([]);
});

test("governs accesses besides opens by the policy in force", () => {
  const decider = new ScriptedDecider("grant", { accesses: new Set(["delete"]) });
  const { gate } = gateOf(decider);
  expect([gate.governs("delete"), gate.governs("rename")]).toEqual([true, false]);
  decider.changePolicy({ ...(decider.capabilities() as PolicyCapabilities), accesses: new Set(["rename"]) });
  expect([gate.governs("delete"), gate.governs("rename")]).toEqual([false, true]);
});

test("a policy's facts are in the question, and a fact that cannot be read is named", async () => {
  const decider = new ScriptedDecider("grant", { xattrs: ["user.a", "user.b", "user.c"], needsGroups: true });
  const readXattr = (name: string): Uint8Array | undefined | number =>
    name === "user.a" ? Buffer.from("x") : name === "user.b" ? undefined : -EACCES;
  await ask(decider, intent({ readXattr }));
  const [question] = decider.questions;
  expect([...(question?.resource.xattrs.keys() ?? [])]).toEqual(["user.a"]);
  expect(question?.lookedFor).toEqual([
    "resource.xattr.user.a",
    "resource.xattr.user.b",
    "resource.xattr.user.c",
    "subject.groups",
    "scope.except",
  ]);
  expect(question?.missing.map(({ name }) => name)).toEqual(["subject.groups", "resource.xattr.user.c"]);
});

test("a denial for want of a descriptor is a failure of the machine, and no denial of the policy", async () => {
  const reasonOf = ({ missing: [fact] }: Question): string => `rule 'r' is taken for read, since ${fact?.name} is missing: ${fact?.reason}`;
  const ofCedar = (): string => "no policy permits it for sure: subject.groups, resource.xattr.user.a is missing";
  const outcomeOf = async (errno: number, reason: (question: Question) => string): Promise<unknown> => {
    const decider = new ScriptedDecider((question) => decisionOf("deny", { reason: reason(question) }), { xattrs: ["user.a"] });
    const { gate, decided, anomalies } = gateOf(decider);
    const ruling = await gate.authorize(call(), intent({ readXattr: () => -errno }));
    return [ruling.effect, ruling.errno, decided.length, anomalies];
  };
  const failed = ["a fact that the policy looks at cannot be read: the access fails"];
  expect(await outcomeOf(Errno.EMFILE, reasonOf)).toEqual(["deny", Errno.EMFILE, 0, failed]);
  expect(await outcomeOf(Errno.EMFILE, ofCedar)).toEqual(["deny", Errno.EMFILE, 0, failed]);
  expect(await outcomeOf(Errno.ENFILE, reasonOf)).toEqual(["deny", Errno.ENFILE, 0, failed]);
  // The policy denies it whatever the fact is, or a caller could have made the fact unreadable.
  expect(await outcomeOf(Errno.EMFILE, () => "rule 'r' matches for read")).toEqual(["deny", EACCES, 1, []]);
  expect(await outcomeOf(Errno.ERANGE, reasonOf)).toEqual(["deny", EACCES, 1, []]);
});

test("a policy that changed between question and answer is asked again with the facts it looks at", async () => {
  const next = { sequence: 2n, digest: "b".repeat(64) };
  const decider: ScriptedDecider = new ScriptedDecider(async (question) => {
    if (decider.questions.length === 1) {
      decider.changePolicy({ ...(decider.capabilities() as PolicyCapabilities), revision: next, xattrs: ["user.class"] });
    }
    // The new policy denies what carries the attribute; it was not in the first question.
    return decisionOf(question.resource.xattrs.has("user.class") ? "deny" : "grant", { revision: next });
  });
  expect(await ask(decider, intent({ readXattr: () => Buffer.from("restricted") }))).toMatchObject({ effect: "deny" });
  expect(decider.questions).toHaveLength(2);
});

test("a policy that changes at each question is not asked for ever", async () => {
  let sequence = 1n;
  const decider: ScriptedDecider = new ScriptedDecider(async () => {
    sequence++;
    const revision = { sequence, digest: String(sequence) };
    decider.changePolicy({ ...(decider.capabilities() as PolicyCapabilities), revision, xattrs: [`user.${sequence}`] });
    return decisionOf("mediate", { revision });
  });
  expect(await ask(decider)).toMatchObject({ effect: "mediate" });
  expect(decider.questions).toHaveLength(3);
});

const record = {
  handle: 7,
  nodeId: 3,
  path: "a",
  layer: "lower0",
  mode: "passthrough",
  io: "passthrough",
  write: false,
  fallback: undefined,
} as const;

test("a transfer after a take-over gets no fresh rate", async () => {
  const decider = new ScriptedDecider(() => decisionOf("mediate", { obligations: [{ name: "readBytesPerSecond", value: "1000" }] }));
  const { gate } = gateOf(decider);
  const ruling = await gate.authorize(call(), intent());
  const read = { kind: "read", offset: 0n, length: 1000 } as const;
  expect(ruling.watch?.(record).before(read, call())).toBe(1000);
  gate.opened(call(), ruling, record);
  const impatient = new AbortController();
  const waits = gateOf(decider, true)
    .gate.restored(record, gate.persist(7) ?? "")
    ?.before(read, call(impatient.signal));
  impatient.abort();
  // It waited until it was interrupted.
  expect(waits).toBeInstanceOf(Promise);
  expect(await waits).toBe(-EINTR);
});

test("grants in force: from opened to closed, told by inode", async () => {
  const { gate, grants } = gateOf(new ScriptedDecider(() => decisionOf("grant", { decisionId: "d-1" })));
  gate.opened(call(), await gate.authorize(call(), intent()), record);
  expect(gate.describe(3, "decision")).toBe("d-1");
  expect([...grants.all()]).toMatchObject([{ handle: 7, path: "a", mode: "passthrough", uid: 1000, decisionId: "d-1" }]);
  gate.closed(7);
  expect(gate.describe(3, "decision")).toBeUndefined();
  expect(grants.size).toBe(0);
});

const PENDING = { askId: "abcd-efgh", timeoutMs: 60_000 };
const asking = (answer: () => Decision | Promise<Decision>): ScriptedDecider =>
  new ScriptedDecider(
    (question) => (question.awaitsPersonMs === undefined ? decisionOf("ask", { pending: PENDING, rule: "asks" }) : answer()),
    { asks: true },
  );

test("an open of a file that exists waits for a person, and gets the answer", async () => {
  const decider = asking(() => decisionOf("mediate", { byPerson: true }));
  expect(await ask(decider)).toMatchObject({ effect: "mediate" });
  expect(decider.questions.map(({ mayAsk, awaitsPersonMs }) => [mayAsk, awaitsPersonMs !== undefined])).toEqual([
    [true, false],
    [true, true],
  ]);
  expect(decider.questions[1]?.id).toBe(decider.questions[0]?.id);
});

test("a person's no, and a second question instead of an answer, are denials", async () => {
  expect(await ask(asking(() => decisionOf("deny")))).toMatchObject({ effect: "deny", errno: EACCES });
  expect(await ask(asking(() => decisionOf("ask", { pending: PENDING })))).toMatchObject({ effect: "deny", errno: EACCES });
});

test("a question that no service has on its list is a denial", async () => {
  expect(await ask(new ScriptedDecider("ask"))).toMatchObject({ effect: "deny", errno: EACCES });
});

test.each(["create", "mkdir", "unlink", "rename", "link", "setattr"] as const)("%s does not wait for a person", async (operation) => {
  const decider = asking(() => decisionOf("mediate"));
  const { gate } = gateOf(decider);
  const told: string[] = [];
  gate.people.listen((_change, { askId, waits }) => told.push(`${askId} ${waits}`));
  expect(await gate.authorize(call(), intent({ operation }))).toMatchObject({ effect: "deny", errno: EACCES });
  expect(told).toEqual(["abcd-efgh false"]);
  expect(decider.questions).toHaveLength(1);
});

test("a comparison and a review ask no person", async () => {
  const decider = asking(() => decisionOf("mediate"));
  const { gate } = gateOf(decider);
  expect(await gate.authorize(call(), intent({ compares: true }))).toMatchObject({ effect: "deny" });
  expect(await gate.review(call(), intent())).toMatchObject({ effect: "deny" });
  expect(decider.questions.map(({ mayAsk }) => mayAsk)).toEqual([undefined, undefined]);
});

test("an interrupted caller waits for a person no longer", async () => {
  const interrupting = new AbortController();
  const { gate } = gateOf(
    new ScriptedDecider(
      (question, signal) =>
        question.awaitsPersonMs === undefined
          ? decisionOf("ask", { pending: PENDING })
          : new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new DecisionError("cancelled", "interrupted")))),
      { asks: true },
    ),
  );
  const answer = gate.authorize(call(interrupting.signal), intent()) as Promise<Ruling>;
  expect(gate.people.waiting).toBe(1);
  interrupting.abort();
  await expect(answer).rejects.toMatchObject({ name: "AbortError" });
  expect(gate.people.waiting).toBe(0);
});

test("a bounded number of callers waits for a person, others are denied at once, and all at the end of the mount", async () => {
  const { gate } = gateOf(
    new ScriptedDecider(
      (question, signal) =>
        question.awaitsPersonMs === undefined
          ? decisionOf("ask", { pending: PENDING })
          : new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new DecisionError("cancelled", "interrupted")))),
      { asks: true },
    ),
  );
  const { people } = gate;
  const waiting = Array.from({ length: people.most }, () => gate.authorize(call(), intent()));
  expect(people.waiting).toBe(people.most);
  expect(await gate.authorize(call(), intent())).toMatchObject({ effect: "deny", errno: EACCES });
  expect(people.crowdedOut).toBe(1);
  gate.close();
  for (const answer of waiting) expect(await answer).toMatchObject({ effect: "deny", errno: EACCES });
});

test("an answer that came after a change of policy is not asked for a second time, and not used for anything else", async () => {
  let answered: (decision: Decision) => void = () => undefined;
  const decider = new ScriptedDecider(
    (question) =>
      question.awaitsPersonMs === undefined
        ? decisionOf("ask", { pending: PENDING })
        : new Promise((resolve) => {
            answered = resolve;
          }),
    { asks: true },
  );
  const { gate } = gateOf(decider);
  const same = call();
  for (const [again, questions] of [
    [intent(), 2],
    [intent({ paths: ["b"] }), 6],
    [intent({ attr: attributes({ mode: 0o100640 }) }), 10],
    [intent({ attr: attributes({ uid: 5 }) }), 14],
    [intent({ attr: attributes({ gid: 5 }) }), 18],
  ] as const) {
    const first = gate.authorize(same, intent()) as Promise<Ruling>;
    decider.changePolicy(decider.capabilities() as PolicyCapabilities);
    answered(decisionOf("mediate", { byPerson: true }));
    expect(await first).toMatchObject({ effect: "mediate" });
    void gate.authorize(same, again);
    expect(decider.questions).toHaveLength(questions);
  }
});

test("a person's answer holds for the repeated open of the same file alone", async () => {
  const decider = asking(() => decisionOf("mediate", { byPerson: true }));
  const { gate } = gateOf(decider);
  const caller = { ...call(), pid: 7 };
  for (const [again, questions] of [
    [intent({ repeats: true }), 2],
    // Another file has the name by now, or another open overtakes the repeated one.
    [intent(), 6],
    [intent({ repeats: true, attr: attributes({ uid: 5 }) }), 10],
  ] as const) {
    gate.comesAgain(caller, await gate.authorize(caller, intent()));
    expect(await gate.authorize(caller, again)).toMatchObject({ effect: "mediate" });
    expect(decider.questions).toHaveLength(questions);
  }
});
