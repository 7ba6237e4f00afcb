/** Questions for a person over gRPC: with several replicas, with a service that has no sessions, and from an older mount. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { credentials, Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import { type Decision, type PersonQuestion, plainQuestion, type Question, wire } from "@sluice/decision-api";
import { connectDecider, whenReady } from "@sluice/decision-client/connect";
import {
  cleanUp,
  eventually,
  mountSluice,
  mountsShareProcess,
  plant,
  policyOf,
  requires,
  runSluice,
  scratch,
  startScript,
} from "@sluice/testkit";
import { expect, test as plain } from "vitest";
import { Replica } from "./harness/replicas.js";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const WAIT_MS = 50_000;
const asking = (comment = ""): string => `# ${comment}\n${policyOf("grant", { name: "person", path: "*.key", effect: "ask" })}`;

function policyFile(text: string): string {
  const file = join(scratch(), "policy.yaml");
  writeFileSync(file, text);
  return file;
}

function deciderOf(...replicas: readonly { socket: string }[]): ReturnType<typeof connectDecider> {
  const decider = connectDecider({ target: replicas.map(({ socket }) => `unix://${socket}`).join(","), mount: "m", clientVersion: "t" });
  cleanUp(() => decider.close());
  return decider;
}

function question(id: string, more: Partial<Question> = {}): Question {
  const about = plainQuestion("a.key", id);
  return { ...about, subject: { ...about.subject, executable: "/usr/bin/cat" }, lookedFor: ["subject.executable"], ...more };
}

async function listed(decider: ReturnType<typeof connectDecider>, waiting: number): Promise<PersonQuestion> {
  let list: readonly PersonQuestion[] = [];
  await eventually(`${waiting} wait`, WAIT_MS, async () => {
    list = (await decider.people?.list()) ?? [];
    return list.length === 1 && list[0]?.waiting === waiting;
  });
  return list[0] as PersonQuestion;
}

plain("two replicas that disagree have one question, and one answer is for both", async () => {
  const directory = scratch();
  const files = [policyFile(asking("one")), policyFile(asking("other"))];
  const replicas = await Promise.all(files.map((file, at) => Replica.start(directory, `r${at}`, file)));
  const decider = deciderOf(...replicas);
  await whenReady(decider, WAIT_MS);
  await eventually("both are heard", WAIT_MS, () => decider.status().split?.length === 2);
  const first = await decider.decide(question("q1", { mayAsk: true }), undefined);
  expect(first).toMatchObject({ effect: "ask", rule: "person", pending: { timeoutMs: 60_000 } });
  const waited = Promise.resolve(decider.decide(question("q1", { mayAsk: true, awaitsPersonMs: WAIT_MS }), undefined));
  const { askId } = await listed(decider, 2);
  expect(askId).toBe(first.pending?.askId);
  expect(await decider.people?.answer(askId, "once", "uid 0")).toBeUndefined();
  expect(await waited).toMatchObject({ effect: "mediate", byPerson: true });
  expect(await decider.decide(question("q2", { mayAsk: true }), undefined)).toMatchObject({ effect: "ask" });
});

plain("replicas that agree have one question, however often it is hedged or asked", async () => {
  const directory = scratch();
  const file = policyFile(asking());
  const replicas = await Promise.all(["r0", "r1", "r2"].map((name) => Replica.start(directory, name, file)));
  const decider = deciderOf(...replicas);
  await whenReady(decider, WAIT_MS);
  await eventually("all are ready", WAIT_MS, () => decider.status().replicas.every(({ state }) => state === "ready"));
  const waits = Array.from({ length: 12 }, (_, at) =>
    Promise.resolve(decider.decide(question(`q${at}`, { mayAsk: true, awaitsPersonMs: WAIT_MS }), undefined)),
  );
  const { askId } = await listed(decider, 12);
  await decider.people?.answer(askId, "once", "uid 0");
  for (const wait of waits) expect((await wait).effect).toBe("mediate");
  expect(await decider.people?.list()).toEqual([]);
});

plain("'once' is one attempt, although several replicas have the question on their lists", async () => {
  const directory = scratch();
  const file = policyFile(asking());
  const replicas = await Promise.all(["r0", "r1", "r2"].map((name) => Replica.start(directory, name, file)));
  const decider = deciderOf(...replicas);
  await whenReady(decider, WAIT_MS);
  await eventually("all are ready", WAIT_MS, () => decider.status().replicas.every(({ state }) => state === "ready"));
  const attempts = async (name: string): Promise<number> => {
    let allowed = 0;
    for (let at = 0; at < 40; at++) {
      const { effect } = await decider.decide(question(`${name}${at}`, { mayAsk: true }), undefined);
      if (effect === "mediate") allowed++;
    }
    return allowed;
  };
  expect(await attempts("before")).toBe(0);
  const { askId } = await listed(decider, 0);
  expect(await decider.people?.answer(askId, "once", "uid 0")).toBeUndefined();
  expect(await attempts("after")).toBe(1);
});

plain("an answer of a question of an older mount is a denial, and puts nothing on the list", async () => {
  const replica = await Replica.start(scratch(), "r", policyFile(asking()));
  const decision = await replica.decide("a.key");
  expect(decision).toMatchObject({ effect: wire.Effect.ASK, pending: undefined, scope: undefined, onOutage: wire.OutageMode.DENY });
  const decider = deciderOf(replica);
  await whenReady(decider, WAIT_MS);
  expect(await decider.people?.list()).toEqual([]);
});

plain("Decide answers pending, and holds the call of a client that waits", async () => {
  const replica = await Replica.start(scratch(), "r", policyFile(asking()));
  // The same service without Session, so that the client falls back to single calls.
  const client = new wire.DecisionServiceClient(`unix:${replica.socket}`, credentials.createInsecure());
  cleanUp(() => client.close());
  const { session: _, ...unary } = wire.DecisionServiceService;
  const server = new Server();
  const forward =
    (name: keyof wire.DecisionServiceClient) => (call: { request: never; on(event: string, act: () => void): void }, reply: never) => {
      const forwarded = (client[name] as (request: never, reply: never) => { cancel(): void }).call(client, call.request, reply);
      call.on("cancelled", () => forwarded.cancel());
    };
  const names = ["decide", "getCapabilities", "listPersonQuestions", "answerPersonQuestion"] as const;
  server.addService(unary as unknown as ServiceDefinition, Object.fromEntries(names.map((name) => [name, forward(name)])) as never);
  const socket = join(scratch(), "unary.sock");
  await new Promise((resolve) => server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), resolve));
  cleanUp(() => server.forceShutdown());
  const decider = deciderOf({ socket });
  await whenReady(decider, WAIT_MS);
  const first: Decision = await decider.decide(question("q1", { mayAsk: true }), undefined);
  expect(first).toMatchObject({ effect: "ask", pending: { askId: expect.any(String) } });
  const gone = new AbortController();
  const left = Promise.resolve(decider.decide(question("q1", { mayAsk: true, awaitsPersonMs: WAIT_MS }), gone.signal));
  await listed(decider, 1);
  gone.abort();
  await expect(left).rejects.toMatchObject({ code: "cancelled" });
  await listed(decider, 0);
  const waited = Promise.resolve(decider.decide(question("q1", { mayAsk: true, awaitsPersonMs: WAIT_MS }), undefined));
  const { askId } = await listed(decider, 1);
  await decider.people?.answer(askId, "deny", "uid 0");
  expect(await waited).toMatchObject({ effect: "deny", errno: 13 });
});

plain("the question of a caller goes to another replica if its own stops, and its decision is logged with the person", async () => {
  const directory = scratch();
  const file = policyFile(asking());
  const log = join(directory, "decisions.log");
  const first = await Replica.start(directory, "r0", file);
  const decider = connectDecider({ target: `unix://${directory}/*.sock`, mount: "m", clientVersion: "t" });
  cleanUp(() => decider.close());
  await whenReady(decider, WAIT_MS);
  const waited = Promise.resolve(decider.decide(question("q1", { mayAsk: true, awaitsPersonMs: WAIT_MS }), undefined));
  await listed(decider, 1);
  await Replica.start(directory, "r1", file, ["--decision-log", log]);
  await eventually("both are ready", WAIT_MS, () => decider.status().replicas.filter(({ state }) => state === "ready").length === 2);
  await first.end("SIGTERM");
  const { askId } = await listed(decider, 1);
  await decider.people?.answer(askId, "session", "uid 42, in a test");
  expect(await waited).toMatchObject({ effect: "mediate" });
  await eventually("it is logged", WAIT_MS, () => readFileSync(log, "utf8").includes("uid 42"));
  const [line = ""] = readFileSync(log, "utf8")
    .split("\n")
    .filter((each) => each.includes("uid 42"));
  expect(JSON.parse(line)).toMatchObject({
    answered: { by: "uid 42, in a test", scope: "session" },
    result: {
      effect: "mediate",
      rule: "person",
      reason: "rule 'person' asks a person: uid 42, in a test allowed it until the service ends",
    },
  });
});

test("two replicas show one question of a mount", async () => {
  const directory = scratch();
  const files = [policyFile(asking("one")), policyFile(asking("other"))];
  const replicas = await Promise.all(files.map((file, at) => Replica.start(directory, `r${at}`, file)));
  const args = ["--decision", replicas.map(({ socket }) => `unix://${socket}`).join(",")];
  const mount = await mountSluice({ lowers: [plant(scratch(), { "a.key": "secret" })], args });
  const reading = startScript(["cat", mount.path("a.key")]);
  let asks: { askId: string; waiting: number }[] = [];
  await eventually("it waits", WAIT_MS, async () => {
    asks = JSON.parse((await runSluice(["asks", "--json", mount.mountpoint])).stdout) as typeof asks;
    return asks.length === 1 && (asks[0]?.waiting ?? 0) > 0;
  });
  expect((await runSluice(["answer", asks[0]?.askId ?? "", "once"])).code).toBe(0);
  expect((await reading.finished).stdout).toBe("secret");
  expect((await mount.stop()).code).toBe(0);
});
