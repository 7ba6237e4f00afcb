/** The cached answers and their lifetime, the replica that is asked, and the answer if replicas disagree, over real gRPC. */
import { type Decider, type Decision, inquiryOf, plainQuestion as question, type Question, wire } from "@sluice/decision-api";
import { afterAll, describe, expect, it, vi } from "vitest";
import { NO_EVENTS } from "./decision-client-events.js";
import { connectDecider, type DeciderOptions } from "./connect.js";
import { answer, CAPABILITIES, DIGEST, grantFor, ScriptedService, type Stream } from "./testing/scripted-service.js";

// The tests of a group wait at the same time.
const open: (() => Promise<void> | void)[] = [];
afterAll(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const OTHER_DIGEST = "cd".repeat(32);
const READ: wire.Scope = {
  subtree: undefined,
  except: [],
  subjectFields: [wire.SubjectField.UID],
  resourceFacts: [],
  xattrs: [],
  accesses: [wire.Access.READ],
  ttl: undefined,
};

interface Holding {
  digest: string;
  sequence: bigint;
}
const welcoming =
  ({ digest, sequence }: Holding) =>
  (stream: Stream): void =>
    void stream.write({
      message: { $case: "welcome", value: { serverVersion: "t", capabilities: { ...CAPABILITIES, revision: { sequence, digest } } } },
    });

/** Answers each question with `change`, and counts them. */
async function serve(change: Partial<wire.Decision>, holding: Holding = { digest: DIGEST, sequence: 1n }, delayMs = 0) {
  const asked: string[] = [];
  const revision = { ...holding };
  const service = new ScriptedService({
    welcome: welcoming(holding),
    batch: (stream, questions) => {
      asked.push(...questions.map(({ questionId }) => questionId));
      const reply = (): void =>
        answer(
          stream,
          questions.map(({ id }) => grantFor(id, { revision, ...change })),
        );
      if (delayMs === 0) reply();
      else setTimeout(reply, delayMs);
    },
  });
  open.push(() => service.end());
  await service.start();
  return { service, asked };
}

async function connect(services: readonly ScriptedService[], options: Partial<DeciderOptions> = {}): Promise<Decider> {
  const target = services.map((service) => service.target).join(",");
  const decider = connectDecider({ target, mount: "m", clientVersion: "0", ...options });
  open.push(() => decider.close());
  const ready = (): number => decider.status().replicas.filter(({ state }) => state === "ready").length;
  await vi.waitFor(() => expect(ready()).toBe(services.length), { timeout: 30_000 });
  return decider;
}

const cached = (decider: Decider, asked: Question): Decision | undefined => decider.recall?.(inquiryOf(asked));

describe.concurrent("an answer", () => {
  it("an answer with a scope is reused without a question for all that it covers, also a denial", async () => {
    const { service, asked } = await serve({ scope: READ, effect: wire.Effect.DENY });
    const decider = await connect([service]);
    expect(cached(decider, question())).toBeUndefined();
    const first = await decider.decide(question(), undefined);
    expect(cached(decider, question())).toMatchObject({ effect: "deny", source: "cache", decisionId: first.decisionId });
    expect(cached(decider, { ...question(), subject: { uid: 2, gid: 1, pid: 1 } })).toBeUndefined();
    expect(cached(decider, { ...question(), accesses: ["write"] })).toBeUndefined();
    expect(cached(decider, question("b"))).toBeUndefined();
    expect(asked).toHaveLength(1);
    expect(decider.status().cache).toMatchObject({ entries: 1, hits: 1, misses: 1 });
  });

  it.each<[string, Partial<wire.Decision>]>([
    ["without scope", {}],
    ["whose time is over", { scope: { ...READ, ttl: { seconds: 0n, nanos: 0 } } }],
    ["that looked at content", { scope: { ...READ, resourceFacts: [wire.ResourceFact.CONTENT] } }],
    ["whose scope is not understood", { scope: { ...READ, subjectFields: [77 as wire.SubjectField] } }],
    ["for a subtree that does not hold the path", { scope: { ...READ, subtree: Buffer.from("z") } }],
    ["for other accesses than were asked for", { scope: { ...READ, accesses: [wire.Access.READ, wire.Access.WRITE] } }],
  ])("%s is not cached", async (_name, change) => {
    const { service } = await serve(change);
    const decider = await connect([service]);
    await decider.decide(question("d/a"), undefined);
    expect(cached(decider, question("d/a"))).toBeUndefined();
  });

  it("is asked for once by many equal questions, and reported as often as it was used", async ({ expect }) => {
    const { service, asked } = await serve({ scope: { ...READ, subtree: Buffer.from("") } });
    const decider = await connect([service]);
    const all = await Promise.all(Array.from({ length: 10 }, async (_, i) => decider.decide(question("d/a", `q-${i}`), undefined)));
    expect(all.map(({ source }) => source).sort()).toEqual([...Array<string>(9).fill("cache"), "service"]);
    expect(asked).toHaveLength(1);
    expect(cached(decider, question("e/f/g"))).toMatchObject({ source: "cache" });
    await expect.poll(() => service.hits).toEqual([{ decisionId: all[0]?.decisionId, count: 10n }]);
  });

  it("an answer with obligations needs a question to find it, and each reuse is counted once", async ({ expect }) => {
    const obligations = [{ name: "audit", value: "each-io" }];
    const { service, asked } = await serve({ scope: READ, effect: wire.Effect.MEDIATE, obligations });
    const decider = await connect([service]);
    const first = await decider.decide(question(), undefined);
    for (let turn = 0; turn < 3; turn++) {
      expect(cached(decider, question())).toBeUndefined();
      expect(await decider.decide(question(), undefined)).toMatchObject({ source: "cache", obligations });
    }
    expect(asked).toHaveLength(1);
    expect(decider.status().cache).toMatchObject({ hits: 3, misses: 1 });
    await expect.poll(() => service.hits).toEqual([{ decisionId: first.decisionId, count: 3n }]);
  });

  it("is dropped with its revision, before the first answer of the next one is used, and if the policy file was seen to change", async () => {
    let touched = false;
    const { service } = await serve({ scope: READ });
    const decider = await connect([service], { policyTouched: () => touched });
    await decider.decide(question(), undefined);
    expect(cached(decider, question())).toBeDefined();
    touched = true;
    expect(cached(decider, question())).toBeUndefined();
    touched = false;
    expect(cached(decider, question())).toBeUndefined();
    await decider.decide(question(), undefined);
    expect(cached(decider, question())).toBeDefined();
    const heard = new Promise((resolve) => decider.onPolicyChange(() => resolve(cached(decider, question()))));
    const capabilities = { ...CAPABILITIES, revision: { sequence: 2n, digest: OTHER_DIGEST } };
    service.streams[0]?.write({ message: { $case: "policyChanged", value: { capabilities } } });
    expect(await heard).toBeUndefined();
  });

  it("holds no longer than its ttl on the clock that the client was given, whatever the machine did meanwhile", async ({ expect }) => {
    const { service } = await serve({ scope: { ...READ, ttl: { seconds: 60n, nanos: 0 } } });
    let nowMs = 1_000;
    const decider = await connect([service], { nowMs: () => nowMs });
    await decider.decide(question(), undefined);
    nowMs += 59_000;
    expect(cached(decider, question())).toBeDefined();
    nowMs += 1_000;
    expect(cached(decider, question())).toBeUndefined();
  });

  it("is dropped if the service says so, below the directories that it names", async ({ expect }) => {
    const { service } = await serve({ scope: READ });
    const decider = await connect([service]);
    for (const path of ["a/x", "b/x"]) await decider.decide(question(path), undefined);
    service.streams[0]?.write({ message: { $case: "invalidation", value: { subtrees: [Buffer.from("a")] } } });
    await expect.poll(() => cached(decider, question("a/x"))).toBeUndefined();
    expect(cached(decider, question("b/x"))).toBeDefined();
  });
});

describe.concurrent("in an outage", () => {
  it("uses no cached answer as valid, and the rule that decided chooses the outage mode", async ({ expect }) => {
    const { service } = await serve({ scope: READ, onOutage: wire.OutageMode.MEDIATE });
    const decider = await connect([service], { timeoutMs: 1_000 });
    await decider.decide(question(), undefined);
    service.kill();
    await expect.poll(() => decider.status().replicas[0]?.state).not.toBe("ready");
    expect(cached(decider, question())).toBeUndefined();
    expect(await decider.decide(question(), undefined)).toMatchObject({ effect: "mediate", source: "outage" });
    expect(await decider.decide(question("b"), undefined)).toMatchObject({ effect: "deny", source: "outage" });
  });
});

describe.concurrent("in an outage with the mode stale", () => {
  const MINUTE_MS = 60_000;
  const stale = { kind: "stale", staleForMs: MINUTE_MS } as const;

  async function lost(scope: wire.Scope, { beforeMs, afterMs }: { beforeMs: number; afterMs: number }): Promise<Decision> {
    const { service } = await serve({ scope });
    let nowMs = 1_000;
    const decider = await connect([service], { nowMs: () => nowMs, onOutage: stale, timeoutMs: 1_000 });
    await decider.decide(question(), undefined);
    nowMs += beforeMs;
    service.kill();
    await vi.waitFor(() => expect(decider.status().replicas[0]?.state).not.toBe("ready"), { timeout: 30_000 });
    nowMs += afterMs;
    return decider.decide(question(), undefined);
  }

  it("repeats a cached answer for the time of the outage on the clock that the client was given", async ({ expect }) => {
    expect(await lost(READ, { beforeMs: 60 * MINUTE_MS, afterMs: MINUTE_MS })).toMatchObject({ effect: "grant", source: "stale" });
    expect(await lost(READ, { beforeMs: 0, afterMs: MINUTE_MS + 1 })).toMatchObject({ effect: "deny", source: "outage" });
  });

  it("repeats no answer whose ttl was over for longer than that when the outage began", async ({ expect }) => {
    const brief = { ...READ, ttl: { seconds: 1n, nanos: 0 } };
    expect(await lost(brief, { beforeMs: MINUTE_MS, afterMs: 0 })).toMatchObject({ effect: "grant", source: "stale" });
    expect(await lost(brief, { beforeMs: MINUTE_MS + 1_001, afterMs: 0 })).toMatchObject({ effect: "deny", source: "outage" });
  });
});

describe.concurrent("replicas", () => {
  it("replicas with different policies and no order are all asked: the stricter answer holds and is not cached", async () => {
    const lax = await serve({ scope: READ }, { digest: DIGEST, sequence: 0n });
    const strict = await serve({ scope: READ, effect: wire.Effect.DENY }, { digest: OTHER_DIGEST, sequence: 0n });
    const views: string[] = [];
    const events = { ...NO_EVENTS, revisions: (view: { kind: string }) => void views.push(view.kind) };
    const decider = await connect([lax.service, strict.service], { events });
    for (let turn = 0; turn < 5; turn++)
      expect(await decider.decide(question(`f${turn}`), undefined)).toMatchObject({ effect: "deny", source: "service" });
    expect([lax.asked.length, strict.asked.length]).toEqual([5, 5]);
    expect(cached(decider, question("f1"))).toBeUndefined();
    expect(decider.status().split).toHaveLength(2);
    expect(views).toContain("split");
  });

  it("replicas with an older policy than a reported one are not asked", async () => {
    const newer = await serve({ effect: wire.Effect.DENY }, { digest: OTHER_DIGEST, sequence: 2n });
    const older = await serve({}, { digest: DIGEST, sequence: 1n });
    const decider = await connect([newer.service, older.service], { timeoutMs: 2_000 });
    for (let turn = 0; turn < 20; turn++)
      expect(await decider.decide(question(`f${turn}`), undefined)).toMatchObject({ effect: "deny", source: "service" });
    expect(older.asked).toEqual([]);
    newer.service.kill();
    expect(await decider.decide(question(), undefined)).toMatchObject({ effect: "deny", source: "outage" });
    expect(older.asked).toEqual([]);
  });

  it("hedge a slow question: the other one is asked, too, under the same id, and the first answer holds", async () => {
    const slow = await serve({}, undefined, 60_000);
    const fast = await serve({});
    const decider = await connect([slow.service, fast.service]);
    const all = await Promise.all(Array.from({ length: 20 }, async (_, i) => decider.decide(question(`f${i}`), undefined)));
    expect(new Set(all.map(({ source }) => source))).toEqual(new Set(["service", "hedge"]));
    expect(slow.asked.length).toBeGreaterThan(0);
    expect(fast.asked).toEqual(expect.arrayContaining(slow.asked));
  });

  it("replace one another: if one sends malformed answers, the other is asked", async () => {
    const malformed = await serve({ decisionId: "" });
    const sane = await serve({});
    const decider = await connect([malformed.service, sane.service]);
    for (let turn = 0; turn < 30; turn++) {
      const { effect, source } = await decider.decide(question(`f${turn}`), undefined);
      // On a busy machine an answer may be late, and the other replica asked because of that.
      expect({ effect, known: source === "service" || source === "hedge" }).toEqual({ effect: "grant", known: true });
    }
    expect(malformed.asked.length).toBeGreaterThan(0);
  });
});
