import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect as http2Connect } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ClientDuplexStream, credentials, type ServiceError } from "@grpc/grpc-js";
import { NO_FACTS, wire } from "@sluice/decision-api";
import type { Policy, PolicyBackend, Ruling } from "@sluice/policy-backends";
import { createRegistry } from "@sluice/runtime/metrics";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DecisionService, type DecisionServiceOptions, startDecisionService } from "./index.js";
import { decide, question } from "./testing/wire-question.js";

let directory = "";
let policy = "";
let socket = "";
const closers: (() => unknown)[] = [];
const policyText = (effect: string, path = "**"): string =>
  `version: 1\ndefault: grant\nrules:\n  - {name: r, path: '${path}', effect: ${effect}}\n`;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "sluice-decision-test-"));
  policy = join(directory, "policy.yaml");
  socket = join(directory, "d.sock");
  writeFileSync(policy, policyText("mediate", "m/**"));
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  rmSync(directory, { recursive: true });
});

async function start(options: Partial<DecisionServiceOptions> = {}): Promise<DecisionService> {
  const service = await startDecisionService({ policy, listen: { kind: "unix", path: socket }, ...options });
  closers.push(() => service.drain(100));
  return service;
}

function client(target = `unix:${socket}`): wire.DecisionServiceClient {
  const made = new wire.DecisionServiceClient(target, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  closers.push(() => made.close());
  return made;
}

/** A session by hand, with every message it got. */
class Talk {
  readonly heard: NonNullable<wire.SessionResponse["message"]>[] = [];
  readonly stream: ClientDuplexStream<wire.SessionRequest, wire.SessionResponse>;
  error: ServiceError | undefined;
  constructor(from: wire.DecisionServiceClient) {
    this.stream = from.session();
    this.stream.on("data", ({ message }: wire.SessionResponse) => message !== undefined && this.heard.push(message));
    this.stream.on("error", (error: ServiceError) => {
      this.error = error;
    });
    closers.push(() => this.stream.cancel());
  }
  say(message: NonNullable<wire.SessionRequest["message"]>): this {
    this.stream.write({ message });
    return this;
  }
  hello(): this {
    return this.say({ $case: "hello", value: { mount: "m", clientVersion: "0" } });
  }
  ask(...questions: [bigint, wire.Question | undefined][]): this {
    const pending = questions.map(([id, asked]) => ({ id, question: asked, timeout: { seconds: 5n, nanos: 0 }, questionId: `q${id}` }));
    return this.say({ $case: "batch", value: { questions: pending } });
  }
  get answers(): wire.Answer[] {
    return this.heard.flatMap((message) => (message.$case === "batch" ? message.value.answers : []));
  }
  effects(): string[] {
    return this.answers.map(
      ({ id, result }) =>
        `${id} ${result?.$case === "decision" ? wire.Effect[result.value.effect] : result?.$case === "failure" ? wire.Failure_Code[result.value.code] : "none"}`,
    );
  }
}

describe("a session", () => {
  it("begins with Welcome and answers a batch in one message", async () => {
    await start();
    const talk = new Talk(client()).hello().ask([1n, question("a")], [2n, question("m/x")], [9n, question("a")]);
    await expect.poll(() => talk.answers.length).toBe(3);
    expect(talk.heard[0]).toMatchObject({ value: { wantsReports: false } });
    expect(talk.heard.map(({ $case }) => $case)).toEqual(["welcome", "batch"]);
    expect(talk.effects()).toEqual(["1 GRANT", "2 MEDIATE", "9 GRANT"]);
    const ids = talk.answers.map(({ result }) => (result?.$case === "decision" ? result.value.decisionId : ""));
    expect(new Set(ids).size).toBe(3);
  });

  it("refuses what is malformed, question by question, and lives on", async () => {
    await start();
    const { resource } = question("a");
    const talk = new Talk(client())
      .hello()
      .ask(
        [1n, undefined],
        [2n, question("a", { accesses: [] })],
        [3n, question("a", { operation: 99 as wire.Operation })],
        [4n, question("../x")],
        [5n, question("m/x")],
      )
      .ask([6n, question("a", { resource: resource && { ...resource, paths: new Array<Buffer>(1000).fill(Buffer.from("a")) } })]);
    await expect.poll(() => talk.answers.length).toBe(6);
    expect(talk.effects()).toEqual([
      "1 INVALID_QUESTION",
      "2 INVALID_QUESTION",
      "3 INVALID_QUESTION",
      "4 INVALID_QUESTION",
      "5 MEDIATE",
      "6 INVALID_QUESTION",
    ]);
  });

  it("is ended by a message over the limit, alone, and refuses what a batch holds too much", async () => {
    const registry = createRegistry(false);
    await start({ registry });
    const from = client();
    const other = new Talk(from).hello();
    const { resource } = question("a");
    const huge = question("a", { resource: resource && { ...resource, xattrs: { "user.a": Buffer.alloc(4 * 1024 * 1024) } } });
    const talk = new Talk(from).hello().ask([1n, huge]);
    await expect.poll(() => talk.error?.code).toBe(8);
    const many = Array.from({ length: 1_030 }, (_, i): [bigint, wire.Question] => [BigInt(i), question("a")]);
    other.ask(...many);
    await expect.poll(() => other.answers.length).toBe(1_030);
    expect(other.effects().filter((effect) => effect.endsWith("OVERLOADED"))).toHaveLength(6);
    expect(other.effects().filter((effect) => effect.endsWith("GRANT"))).toHaveLength(1_024);
    expect(await registry.metrics()).toContain('sluice_questions_refused_total{code="overloaded"} 6');
    // Each value is within its bound, all of them are not.
    const xattrs = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`user.a${i}`, Buffer.alloc(65_536)]));
    other.ask([5_000n, question("a", { resource: resource && { ...resource, xattrs } })], [5_001n, question("m/x")]);
    await expect.poll(() => other.effects().slice(-2)).toEqual(["5000 INVALID_QUESTION", "5001 MEDIATE"]);
    expect(other.error).toBeUndefined();
  });

  it("takes a mount's report if it has a console, within bounds", async () => {
    const told = (grants: number, rule: string, sinceMs = 1n): wire.MountReport => {
      const grant = { path: Buffer.from("a"), layer: "upper", flow: "passthrough", write: false, uid: 1, pid: 2, rule, decisionId: "d" };
      const all = Array.from({ length: grants }, () => ({ ...grant, sinceMs, now: wire.Effect.GRANT }));
      const rest = { mountpoint: "/m", engine: "devfuse", protocol: "7.45", transport: "read", passthrough: true };
      const places = { layers: [], layerCount: 0, grants: all, grantCount: grants, openFiles: { passthrough: grants } };
      return { ...wire.MountReport.fromPartial(rest), ...places };
    };
    const service = await start({ admin: "127.0.0.1:0" });
    const talk = new Talk(client()).hello();
    await expect.poll(() => talk.heard.length).toBe(1);
    expect(talk.heard[0]).toMatchObject({ $case: "welcome", value: { wantsReports: true } });
    const shown = async (): Promise<unknown> => {
      const state = await fetch(`http://${service.adminAddress}/console/api/state`);
      return ((await state.json()) as { mounts: { report: { grants: unknown[] } | null }[] }).mounts[0]?.report?.grants;
    };
    talk.say({ $case: "report", value: told(2, "r") });
    await expect.poll(shown).toMatchObject([{ path: "a", rule: "r", since: "1970-01-01T00:00:00.001Z", now: "grant" }, {}]);
    for (const over of [told(101, "r"), told(1, "r".repeat(1025)), told(1, "r", 1n << 60n)]) {
      talk.say({ $case: "report", value: told(1, "r") });
      await expect.poll(shown).toHaveLength(1);
      talk.say({ $case: "report", value: over });
      await expect.poll(shown).toBeUndefined();
    }
    // Nothing that is decided depends on it.
    talk.ask([1n, question("a")]);
    await expect.poll(() => talk.effects()).toEqual(["1 GRANT"]);
  });

  it("hears that somebody looks at the console, and not at each look again", async () => {
    const service = await start({ admin: "127.0.0.1:0" });
    const talk = new Talk(client()).hello();
    await expect.poll(() => talk.heard.length).toBe(1);
    const look = async (): Promise<void> => void (await fetch(`http://${service.adminAddress}/console/api/state`));
    for (let looks = 0; looks < 3; looks++) await look();
    talk.ask([1n, question("a")]);
    await expect.poll(() => talk.effects()).toEqual(["1 GRANT"]);
    expect(talk.heard.map(({ $case }) => $case)).toEqual(["welcome", "lookedAt", "batch"]);
  });

  it("without Hello, or with two, is ended", async () => {
    await start();
    const talk = new Talk(client()).ask([1n, question("a")]);
    await expect.poll(() => talk.error?.code).toBe(3);
    const twice = new Talk(client()).hello().hello();
    await expect.poll(() => twice.error?.code).toBe(3);
  });

  it("judges the very next question by an edited policy, and says so first", async () => {
    await start();
    const talk = new Talk(client()).hello().ask([1n, question("a")]);
    await expect.poll(() => talk.answers.length).toBe(1);
    for (let round = 0; round < 10; round++) {
      writeFileSync(policy, policyText(round % 2 === 0 ? "deny" : "grant"));
      talk.ask([BigInt(round + 2), question("a")]);
      await expect.poll(() => talk.answers.length).toBe(round + 2);
      expect(talk.effects().at(-1)).toBe(`${round + 2} ${round % 2 === 0 ? "DENY" : "GRANT"}`);
      const last = talk.answers.at(-1)?.result;
      const changed = talk.heard.filter(({ $case }) => $case === "policyChanged").at(-1) as { value: wire.PolicyChanged };
      expect(last?.$case === "decision" && last.value.revision?.digest).toBe(changed.value.capabilities?.revision?.digest);
      expect(talk.heard.at(-1)?.$case).toBe("batch");
    }
  });

  it("hears of an edit without asking", async () => {
    await start();
    const talk = new Talk(client()).hello();
    await expect.poll(() => talk.heard.length).toBe(1);
    writeFileSync(policy, policyText("deny"));
    await expect.poll(() => talk.heard.at(-1)?.$case).toBe("policyChanged");
  });

  it("keeps the policy before over an edit that does not check, and says so", async () => {
    const registry = createRegistry(false);
    const service = await start({ registry });
    writeFileSync(policy, "version: 1\ndefault: grnt\n");
    const answer = await decide(client(), { questionId: "q", question: question("m/x") });
    expect(answer.decision?.effect).toBe(wire.Effect.MEDIATE);
    expect(service.status().reloadFailure).toContain("did you mean 'grant'?");
    expect(await registry.metrics()).toMatch(/sluice_policy_reload_failures_total 1\n[^]*sluice_policy_reload_failing 1/);
    writeFileSync(policy, policyText("deny"));
    expect((await decide(client(), { questionId: "q", question: question("a") })).decision?.effect).toBe(wire.Effect.DENY);
    expect(service.status().reloadFailure).toBeUndefined();
  });

  it("is sent away by a drain, with its questions answered, and the socket is gone", async () => {
    const service = await start();
    const talk = new Talk(client()).hello().ask([1n, question("a")]);
    await expect.poll(() => talk.answers.length).toBe(1);
    talk.ask([2n, question("a")]);
    const drained = service.drain(2000);
    await expect.poll(() => talk.heard.some(({ $case }) => $case === "goAway")).toBe(true);
    await expect.poll(() => talk.answers.length).toBe(2);
    talk.stream.end();
    await drained;
    expect(existsSync(socket)).toBe(false);
  });
});

const DIGEST = "ab".repeat(32);
/** A backend whose answers come when they come. */
function backendOf(evaluate: Policy["evaluate"]): PolicyBackend {
  const revision = { sequence: 0n, digest: DIGEST };
  const capabilities = { revision, policyId: "slow", accesses: new Set<never>(), ...NO_FACTS, unconditionalGrant: false };
  return {
    name: "slow",
    failure: undefined,
    watchedDirectories: [],
    refresh: () => ({ state: "unchanged" }),
    dispose: () => Promise.resolve(),
    policy: { id: "slow", revision, capabilities, evaluate },
  };
}

describe("a slow backend", () => {
  it("whose answers all come at once gives more of them than one message may hold", async () => {
    let answer: () => void = () => undefined;
    const all = new Promise<Ruling>((resolve) => {
      answer = () => resolve({ effect: "grant", errno: 0, rule: "r", reason: "€".repeat(4_096), obligations: [] });
    });
    let asked = 0;
    await start({
      policy: backendOf(() => {
        if (++asked === 600) setImmediate(answer);
        return all;
      }),
    });
    const talk = new Talk(client()).hello();
    for (const from of [0, 300])
      talk.ask(...Array.from({ length: 300 }, (_, i): [bigint, wire.Question] => [BigInt(from + i), question("a")]));
    await expect.poll(() => talk.answers.length).toBe(600);
    expect(talk.error).toBeUndefined();
    expect(new Set(talk.answers.map(({ id }) => id)).size).toBe(600);
  });

  it("is waited for no longer than the asker does, can be cancelled, and its failure is a failure", async () => {
    const slow = backendOf(({ resource }) =>
      resource.paths[0] === "never" ? new Promise(() => undefined) : Promise.reject(new Error("backend broke")),
    );
    await start({ policy: slow });
    const talk = new Talk(client()).hello();
    talk.say({
      $case: "batch",
      value: { questions: [{ id: 1n, question: question("never"), timeout: { seconds: 0n, nanos: 50_000_000 }, questionId: "q1" }] },
    });
    talk.ask([2n, question("never")], [3n, question("breaks")]).say({ $case: "cancel", value: { ids: [2n] } });
    await expect.poll(() => talk.effects().sort()).toEqual(["1 DEADLINE", "3 INTERNAL"]);
  });
});

describe("the socket", () => {
  it("is for its owner alone, and a peer that is not allowed is sent away unheard", async () => {
    await start({ allowedUids: [4242] });
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    await expect(decide(client(), { questionId: "q", question: question("a") })).rejects.toMatchObject({ code: 14 });
  });

  it("takes over a socket that a killed service left behind, and no socket that is served", async () => {
    const child = spawn(process.execPath, [
      "-e",
      `require("net").createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, "SIGKILL"))`,
    ]);
    await once(child, "exit");
    expect(existsSync(socket)).toBe(true);
    await start();
    await expect(startDecisionService({ policy, listen: { kind: "unix", path: socket } })).rejects.toThrow("something is there already");
    expect((await decide(client(), { questionId: "q", question: question("a") })).questionId).toBe("q");
  });

  it("survives garbage of every kind", async () => {
    await start();
    const raw = connect(socket);
    raw.on("error", () => undefined);
    raw.write(Buffer.alloc(100_000, 0xff));
    const session = http2Connect("http://x", { createConnection: () => connect(socket) });
    session.on("error", () => undefined);
    for (const path of ["Session", "Decide", "Nothing"]) {
      const request = session.request({
        ":method": "POST",
        ":path": `/sluice.decision.v1.DecisionService/${path}`,
        "content-type": "application/grpc",
        te: "trailers",
      });
      request.on("error", () => undefined);
      request.write(Buffer.concat([Buffer.from([0, 0, 0, 0, 16]), Buffer.alloc(16, 0xff)]));
      request.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]));
      request.end();
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    session.destroy();
    raw.destroy();
    expect((await decide(client(), { questionId: "q", question: question("a") })).decision?.effect).toBe(wire.Effect.GRANT);
    await expect(decide(client(), { questionId: "q", question: undefined })).rejects.toMatchObject({ code: 3 });
  });
});

describe("around it", () => {
  it("there are TCP, an admin port and a decision log", async () => {
    const log = join(directory, "decisions.log");
    const registry = createRegistry(false);
    const service = await start({
      listen: { kind: "tcp", host: "127.0.0.1", port: 0 },
      admin: "127.0.0.1:0",
      decisionLog: { file: log },
      registry,
    });
    const answer = await decide(client(service.target), { questionId: "q7", question: question("m/x") });
    const get = async (path: string): Promise<string> => (await fetch(`http://${service.adminAddress}${path}`)).text();
    expect(await get("/metrics")).toContain('sluice_evaluations_total{backend="rules",effect="mediate",rule="r"} 1');
    expect(await get("/readyz")).toBe("ok\n");
    await service.drain(100);
    const event = JSON.parse(readFileSync(log, "utf8")) as Record<string, unknown>;
    expect(event).toMatchObject({
      decision_id: answer.decision?.decisionId,
      question_id: "q7",
      input: { resource: { paths: ["m/x"] } },
      result: { effect: "mediate", rule: "r" },
    });
  });

  it("a policy that does not check starts nothing", async () => {
    writeFileSync(policy, "version: 1\ndefault: grant\nrules:\n  - {name: a}\n");
    await expect(start()).rejects.toThrow(/policy\.yaml:4:5: rule 'a': 'effect' is missing.*run 'sluice policy check/);
    expect(existsSync(socket)).toBe(false);
  });
});

describe("the command", () => {
  const main = fileURLToPath(new URL("../bin/sluice-decision.cjs", import.meta.url));
  function run(...argv: string[]): { child: ChildProcess; output(): string; ended: Promise<number | null> } {
    const child = spawn(process.execPath, [main, ...argv]);
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => void (text += chunk.toString()));
    closers.push(() => child.kill("SIGKILL"));
    return { child, output: () => text, ended: once(child, "close").then(([code]) => code as number | null) };
  }

  it("serves until SIGTERM and exits 0", async () => {
    const { child, output, ended } = run("decision", "--policy", policy, "--listen", `unix://${socket}`);
    await expect.poll(output).toContain(`deciding at unix://${socket}`);
    expect((await decide(client(), { questionId: "q", question: question("a") })).decision?.effect).toBe(wire.Effect.GRANT);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    expect(existsSync(socket)).toBe(false);
  });

  it.each([
    [["decision"], "sluice: --policy: option is missing: write --policy FILE"],
    [
      ["decision", "--policy", "/no", "--listen", "unix:///x"],
      "sluice: --policy /no: the file does not exist (ENOENT): correct the name\n",
    ],
    [["decision", "--policy", "P", "--listen", "nowhere"], "sluice: --listen: 'nowhere' is not an address"],
    [["decision", "--policy", "P", "--listen", "unix://run/x"], "the socket's path does not begin with a slash: write unix:///PATH"],
    [
      ["decision", "--polcy", "x"],
      "sluice: command line: unknown option '--polcy' (Did you mean --policy?): see 'sluice-decision decision --help'",
    ],
    [["decision", "--policy", "P", "--listen", "unix:///nonexistent/x"], "socket cannot be made (ENOENT): create its directory"],
    [
      ["decision", "--policy", "P", "--listen", "192.0.2.1:1"],
      "192.0.2.1:1: address cannot be listened on (EADDRNOTAVAIL): choose another one",
    ],
    [["decision", "--policy", "P", "--listen", "unix:///tmp/x", "--tls-cert", "x"], "TLS is for TCP"],
    [
      ["decision", "--policy", "P", "--listen", "127.0.0.1:0", "--tls-cert", "/nonexistent", "--tls-key", "x"],
      "--tls-cert /nonexistent: file cannot be read (ENOENT)",
    ],
  ])("%j exits 2 with one line", async (argv, expected) => {
    const { output, ended } = run(...argv.map((word) => (word === "P" ? policy : word)));
    expect(await ended).toBe(2);
    expect(output()).toContain(expected);
    expect(output().trimEnd().split("\n").length).toBe(1);
  });

  it("checks a policy", async () => {
    const good = run("policy", "check", policy);
    expect(await good.ended).toBe(0);
    expect(good.output()).toContain("ok, 1 rule, revision 0");
    writeFileSync(policy, "version: 1\ndefault: grnt\nrles: []\n");
    const bad = run("policy", "check", policy);
    expect(await bad.ended).toBe(2);
    expect(bad.output()).toContain(`sluice: ${policy}:2:10: 'default' is none of grant, mediate, deny: did you mean 'grant'?`);
    expect(bad.output()).toContain(`sluice: ${policy}:3:1: key 'rles' is not known here: did you mean 'rules'?`);
    const json = run("policy", "check", "--json", policy);
    expect(await json.ended).toBe(2);
    const { ok, problems } = JSON.parse(json.output()) as { ok: boolean; problems: { line: number; column: number }[] };
    expect([ok, ...problems.map(({ line, column }) => `${line}:${column}`)]).toEqual([false, "2:10", "3:1"]);
  });
});
