import { type Decider, type Decision, DecisionError, plainQuestion as question, wire } from "@sluice/decision-api";
import { afterAll, describe, expect, it } from "vitest";
import { NO_EVENTS } from "./decision-client-events.js";
import { connectDecider, type DeciderOptions, whenReady } from "./connect.js";
import { answer, CAPABILITIES, DIGEST, grantFor, ScriptedService, type Script } from "./testing/scripted-service.js";

// The tests of a group wait at the same time.
const open: (() => Promise<void> | void)[] = [];
afterAll(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const grantAll: Script = {
  batch: (stream, questions) =>
    answer(
      stream,
      questions.map(({ id }) => grantFor(id)),
    ),
};

async function serve(script: Script, overrides?: Partial<wire.DecisionServiceServer>, withSession?: boolean): Promise<ScriptedService> {
  const service = new ScriptedService(script, overrides, withSession);
  open.push(() => service.end());
  await service.start();
  return service;
}

interface Counts {
  stray: number;
  malformed: number;
  replayed: number;
  hedged: number;
}
async function ask(service: ScriptedService, options: Partial<DeciderOptions> = {}): Promise<{ decider: Decider; counts: Counts }> {
  const counts: Counts = { stray: 0, malformed: 0, replayed: 0, hedged: 0 };
  const decider = connectDecider({
    target: service.target,
    mount: "m",
    clientVersion: "0",
    events: {
      ...NO_EVENTS,
      replayed: (count) => void (counts.replayed += count),
      hedged: () => void counts.hedged++,
      strayAnswer: () => void counts.stray++,
      malformedAnswer: () => void counts.malformed++,
    },
    ...options,
  });
  open.push(() => decider.close());
  return { decider, counts };
}

describe.concurrent("a decider", () => {
  it("asks all questions of one turn at once, in one message, and tells the facts it looked for", async () => {
    const batches: wire.PendingQuestion[][] = [];
    const service = await serve({
      batch: (stream, questions) => {
        batches.push(questions);
        grantAll.batch(stream, questions);
      },
    });
    const { decider } = await ask(service);
    expect(await whenReady(decider, 30_000)).toBe(true);
    await Promise.all(["a", "b", "c"].map(async (path) => decider.decide(question(path), undefined)));
    await decider.decide(question("d"), undefined);
    expect(batches.map((batch) => batch.length)).toEqual([3, 1]);
    expect(batches[0]?.[0]?.question?.lookedFor).toEqual(["resource.xattr.user.class"]);
    expect(decider.status()).toMatchObject({
      state: "ready",
      policyId: "p",
      revision: { digest: DIGEST },
      replicas: [{ state: "ready", inFlight: 0 }],
    });
  });

  it("waits for a service that starts later", async () => {
    const service = new ScriptedService(grantAll);
    open.push(() => service.end());
    const { decider } = await ask(service);
    const decision = decider.decide(question(), undefined);
    expect(decider.status().state).toBe("connecting");
    await service.start();
    expect((await decision).effect).toBe("grant");
  });

  it("hears of a change of policy before the answers of the new policy", async () => {
    const digest = "cd".repeat(32);
    const service = await serve({
      batch: (stream, questions) => {
        stream.write({
          message: {
            $case: "policyChanged",
            value: { capabilities: { ...CAPABILITIES, accesses: [wire.Access.DELETE], revision: { sequence: 2n, digest } } },
          },
        });
        answer(
          stream,
          questions.map(({ id }) => grantFor(id, { revision: { sequence: 2n, digest } })),
        );
      },
    });
    const { decider } = await ask(service);
    const heard: string[] = [];
    decider.onPolicyChange((capabilities) => heard.push(capabilities.revision.digest));
    await decider.decide(question(), undefined);
    heard.push("answer");
    expect(heard).toEqual([DIGEST, digest, "answer"]);
    expect(decider.capabilities()?.accesses.has("delete")).toBe(true);
  });
});

describe.concurrent("a hostile service", () => {
  const effectOf = async (decision: Decision | Promise<Decision>): Promise<string> => {
    const { effect, source, errno } = await decision;
    return `${effect} ${source} ${errno}`;
  };

  it.each<[string, Partial<wire.Decision>, string]>([
    ["an unspecified effect", { effect: wire.Effect.UNSPECIFIED }, "deny service 13"],
    ["an effect that is unknown", { effect: 77 as wire.Effect }, "deny service 13"],
    ["an errno that no denial has", { effect: wire.Effect.DENY, errno: 5 }, "deny service 13"],
    ["no decision id", { decisionId: "" }, "mediate outage 0"],
    ["no revision", { revision: undefined }, "mediate outage 0"],
    ["a reason without end", { reason: "x".repeat(100_000) }, "mediate outage 0"],
  ])("with %s gets: %s", async (_name, change, expected) => {
    const service = await serve({
      batch: (stream, questions) =>
        answer(
          stream,
          questions.map(({ id }) => grantFor(id, change)),
        ),
    });
    const { decider } = await ask(service, { onOutage: { kind: "mediate" } });
    expect(await effectOf(decider.decide(question(), undefined))).toBe(expected);
  });

  it("is not believed if it answers another question", async () => {
    const service = await serve({
      batch: (stream, questions) => {
        for (const { id } of questions) answer(stream, [grantFor(id + 1000n), grantFor(0n), { id, result: undefined }, grantFor(id)]);
      },
    });
    const { decider, counts } = await ask(service);
    expect(await effectOf(decider.decide(question(), undefined))).toBe("deny outage 13");
    expect(counts).toMatchObject({ stray: 3, malformed: 1 });
  });

  it("is ignored if it answers late or twice", async () => {
    const late: (() => void)[] = [];
    const service = await serve({
      batch: (stream, questions) => {
        if (questions.some(({ question: asked }) => asked?.resource?.paths[0]?.toString() === "slow"))
          late.push(() => grantAll.batch(stream, questions));
        else
          answer(
            stream,
            questions.flatMap(({ id }) => [grantFor(id, { effect: wire.Effect.DENY }), grantFor(id)]),
          );
      },
    });
    const { decider, counts } = await ask(service, { timeoutMs: 2_000 });
    await whenReady(decider, 30_000);
    expect(await effectOf(decider.decide(question("slow"), undefined))).toBe("deny outage 13");
    for (const send of late) send();
    expect(await effectOf(decider.decide(question("twice"), undefined))).toBe("deny service 13");
    // An abandoned question may still be answered: only a second answer to one question is an anomaly.
    expect(counts.stray).toBe(1);
  });

  it("is asked again with the same question id if it closes in the middle of a batch", async () => {
    const asked: string[] = [];
    let breaks = 2;
    const service = await serve({
      batch: (stream, questions) => {
        asked.push(...questions.map(({ questionId }) => questionId));
        if (breaks-- > 0) {
          answer(
            stream,
            questions.slice(0, 1).map(({ id }) => grantFor(id)),
          );
          setImmediate(() => stream.emit("error", { code: 14, details: "going" }));
        } else grantAll.batch(stream, questions);
      },
    });
    const { decider, counts } = await ask(service);
    await whenReady(decider, 30_000);
    const decisions = await Promise.all(["a", "b", "c"].map(async (path) => decider.decide(question(path), undefined)));
    expect(decisions.map(({ source }) => source)).toEqual(["service", "service", "service"]);
    expect(asked).toEqual(["q-a", "q-b", "q-c", "q-b", "q-c", "q-c"]);
    expect(counts.replayed).toBe(3);
  });

  it("is left without harm if it sends an endless message, or no Welcome", async ({ expect }) => {
    const service = await serve({
      batch: (stream, questions) => answer(stream, [grantFor(questions[0]?.id ?? 0n, { reason: "x".repeat(6_000_000) })]),
    });
    const { decider } = await ask(service, { timeoutMs: 500 });
    expect(await effectOf(decider.decide(question(), undefined))).toBe("deny outage 13");
    service.script = { ...grantAll, welcome: (stream) => answer(stream, [grantFor(1n)]) };
    const other = await ask(service, { timeoutMs: 300 });
    expect(await effectOf(other.decider.decide(question(), undefined))).toBe("deny outage 13");
    await expect.poll(() => other.counts.malformed).toBeGreaterThan(0);
  });

  it("counts as an outage if it speaks no gRPC at all", async () => {
    const { createServer } = await import("node:net");
    const server = createServer((socket) => socket.on("error", () => undefined).end("HTTP/1.1 200 OK\r\n\r\n"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    open.push(() => void server.close());
    const { port } = server.address() as { port: number };
    const decider = connectDecider({ target: `127.0.0.1:${port}`, mount: "m", clientVersion: "0", timeoutMs: 200 });
    open.push(() => decider.close());
    expect(await effectOf(decider.decide(question(), undefined))).toBe("deny outage 13");
  });

  it("denies a question that it refuses, in every outage mode", async () => {
    const service = await serve({
      batch: (stream, questions) =>
        answer(
          stream,
          questions.map(({ id }) => ({
            id,
            result: { $case: "failure", value: { code: wire.Failure_Code.INVALID_QUESTION, message: "no" } },
          })),
        ),
    });
    const { decider } = await ask(service, { onOutage: { kind: "mediate" } });
    expect(await effectOf(decider.decide(question(), undefined))).toBe("deny outage 13");
    expect(await effectOf(decider.decide(question("a".repeat(20_000)), undefined))).toBe("deny outage 13");
  });

  it("is asked again if it is overloaded", async () => {
    let refusals = 2;
    const service = await serve({
      batch: (stream, questions) => {
        if (refusals-- > 0)
          answer(
            stream,
            questions.map(({ id }) => ({ id, result: { $case: "failure", value: { code: wire.Failure_Code.OVERLOADED, message: "" } } })),
          );
        else grantAll.batch(stream, questions);
      },
    });
    const { decider } = await ask(service);
    expect(await effectOf(decider.decide(question(), undefined))).toBe("grant service 0");
  });
});

describe.concurrent("an interruption", () => {
  it("rejects the call, and tells the service", async ({ expect }) => {
    const told: bigint[] = [];
    const asked: bigint[] = [];
    const service = await serve({
      batch: (_stream, questions) => void asked.push(...questions.map(({ id }) => id)),
      cancel: (ids) => void told.push(...ids),
    });
    const { decider } = await ask(service);
    await whenReady(decider, 30_000);
    const abort = new AbortController();
    const decision = Promise.resolve(decider.decide(question(), abort.signal));
    const failed = decision.then(
      () => "decided",
      (error: unknown) => (error instanceof DecisionError ? error.code : "other"),
    );
    await expect.poll(() => asked.length).toBe(1);
    abort.abort();
    expect(await failed).toBe("cancelled");
    await expect.poll(() => told).toEqual(asked);
    await expect(decider.decide(question(), abort.signal)).rejects.toMatchObject({ code: "cancelled" });
  });
});

describe.concurrent("an outage", () => {
  it("ends as the operator chose, and a guess is never cached", async ({ expect }) => {
    const service = await serve(grantAll);
    const { decider } = await ask(service, { timeoutMs: 1_000, onOutage: { kind: "stale", staleForMs: 60_000 } });
    await whenReady(decider, 30_000);
    expect(await decider.decide(question("known"), undefined)).toMatchObject({ effect: "grant", source: "service" });
    service.kill();
    expect(await decider.decide(question("known"), undefined)).toMatchObject({ effect: "grant", source: "stale" });
    expect(await decider.decide(question("unknown"), undefined)).toMatchObject({ effect: "deny", source: "outage", errno: 13 });
    expect(await decider.decide(question("unknown"), undefined)).toMatchObject({ source: "outage" });
    expect(await decider.decide({ ...question("known"), accesses: ["write"] }, undefined)).toMatchObject({ source: "outage" });
    await service.start();
    await expect.poll(async () => (await decider.decide(question("unknown"), undefined)).source).toBe("service");
  });

  it("does not use cached answers beyond their largest age", async () => {
    const service = await serve(grantAll);
    const { decider } = await ask(service, { timeoutMs: 100, onOutage: { kind: "stale", staleForMs: 0 } });
    await decider.decide(question(), undefined);
    service.kill();
    expect(await decider.decide(question(), undefined)).toMatchObject({ effect: "deny", source: "outage" });
  });

  it("is reported in status", async ({ expect }) => {
    const service = await serve(grantAll);
    const { decider } = await ask(service, { timeoutMs: 100 });
    await decider.decide(question(), undefined);
    service.kill();
    await expect.poll(() => decider.status().state).toBe("outage");
    await decider.close();
    expect(decider.status().state).toBe("closed");
    expect(await decider.decide(question(), undefined)).toMatchObject({ effect: "deny", source: "outage" });
  });

  it("under load costs no question and no wrong answer while the service restarts", async ({ expect }) => {
    const service = await serve({
      batch: (stream, questions) =>
        answer(
          stream,
          questions.map(({ id, question: asked }) => grantFor(id, { rule: asked?.resource?.paths[0]?.toString() ?? "" })),
        ),
    });
    const { decider } = await ask(service);
    await whenReady(decider, 30_000);
    let asked = 0;
    let running = true;
    const wrong: string[] = [];
    const client = async (name: string): Promise<void> => {
      while (running) {
        const path = `${name}-${asked++}`;
        const decision = await decider.decide(question(path), undefined);
        if (decision.source !== "service" || decision.rule !== path) wrong.push(`${path}: ${decision.source} ${decision.rule}`);
      }
    };
    const clients = Array.from({ length: 20 }, (_, i) => client(`c${i}`));
    for (let round = 0; round < 4; round++) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      service.kill();
      await new Promise((resolve) => setTimeout(resolve, 30));
      await service.start();
    }
    await expect.poll(() => decider.status().state).toBe("ready");
    await expect.poll(() => asked).toBeGreaterThan(100);
    running = false;
    await Promise.all(clients);
    expect(wrong).toEqual([]);
  });
});

describe.concurrent("a service that drains", () => {
  it("answers its open questions, and its successor gets the next ones", async () => {
    const service = await serve({
      batch: (stream, questions) => {
        stream.write({ message: { $case: "goAway", value: { reason: "stopping" } } });
        setTimeout(() => grantAll.batch(stream, questions), 20);
      },
    });
    const { decider, counts } = await ask(service);
    expect(await decider.decide(question("first"), undefined)).toMatchObject({ source: "service" });
    service.script = grantAll;
    expect(await decider.decide(question("second"), undefined)).toMatchObject({ source: "service" });
    expect(service.streams.length).toBeGreaterThan(1);
    expect(counts.replayed).toBe(0);
  });
});

describe.concurrent("two replicas", () => {
  it("share the questions, and one takes over the unanswered questions of the other", async ({ expect }) => {
    const seen = { one: 0, other: 0 };
    const one = await serve({
      batch: (stream, questions) => {
        seen.one += questions.length;
        grantAll.batch(stream, questions);
      },
    });
    const other = await serve({
      batch: (stream, questions) => {
        seen.other += questions.length;
        grantAll.batch(stream, questions);
      },
    });
    const { decider, counts } = await ask(one, { target: `${one.target},${other.target}` });
    await expect.poll(() => decider.status().replicas.filter(({ state }) => state === "ready").length).toBe(2);
    const many = (): Promise<Decision[]> =>
      Promise.all(Array.from({ length: 100 }, async (_, i) => decider.decide(question(`f${i}`), undefined)));
    await many();
    // Their shares depend on which one answers first.
    expect(Math.min(seen.one, seen.other)).toBeGreaterThan(0);
    other.script = { batch: () => other.kill() };
    const before = counts.hedged;
    const decisions = await many();
    expect(decisions.every(({ source }) => source === "service" || source === "hedge")).toBe(true);
    // Taken over when the other ended, or already when it was late, as every answer is on a busy machine.
    expect(counts.replayed + counts.hedged - before).toBeGreaterThan(0);
    expect(decider.status().state).toBe("ready");
  });
});

describe.concurrent("a service without Session", () => {
  const decide =
    (id: (asked: string) => string): wire.DecisionServiceServer["decide"] =>
    (call, callback) =>
      callback(null, { questionId: id(call.request.questionId), decision: (grantFor(1n).result as { value: wire.Decision }).value });

  it("is asked by single calls", async () => {
    const service = await serve(grantAll, { decide: decide((id) => id) }, false);
    const { decider } = await ask(service);
    expect(await decider.decide(question(), undefined)).toMatchObject({ effect: "grant", source: "service" });
    expect(decider.capabilities()?.policyId).toBe("p");
  });

  it("is not believed for another question", async () => {
    const service = await serve(grantAll, { decide: decide(() => "other") }, false);
    const { decider, counts } = await ask(service);
    expect(await decider.decide(question(), undefined)).toMatchObject({ effect: "deny", source: "outage" });
    expect(counts.malformed).toBe(1);
  });
});
