// The decision log's sinks, their masks and drop rules, and their behaviour without room.
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Decision, Question } from "@sluice/decision-api";
import { loadPolicy, type PolicyBackend } from "@sluice/policy-backends";
import { silentLogger } from "@sluice/runtime";
import { createRegistry, decisionMetrics } from "@sluice/runtime/metrics";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { DecisionEngine } from "../engine/decision-engine.js";
import { type DecisionLog, openDecisionLog, SILENT_REPORTS } from "./decision-log.js";
import { readLogLine } from "./read-decision-log.js";
import { quietDesk } from "../testing/quiet-desk.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-log-"));
afterAll(() => rmSync(directory, { recursive: true }));
const opened: DecisionLog[] = [];
const servers: Server[] = [];
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const question: Question = {
  id: "q1",
  operation: "open",
  accesses: ["read"],
  subject: { uid: 1000, gid: 1000, groups: [], pid: 1, executable: "/bin/cat" },
  resource: {
    mount: "m",
    paths: ["public/a"],
    layer: "upper",
    kind: "regular",
    sizeBytes: 5n,
    mode: 0o100644,
    uid: 0,
    gid: 0,
    xattrs: new Map([["user.key", Buffer.from("s3cret")]]),
  },
  openFlags: 0,
  missing: [],
};
const decision = (decisionId: string, change: Partial<Decision> = {}): Decision => ({
  effect: "grant",
  errno: 0,
  decisionId,
  policyId: "p.yaml",
  rule: "r",
  revision: { sequence: 3n, digest: "ab" },
  reason: "because",
  obligations: [],
  source: "service",
  ...change,
});

class Counts {
  readonly outcomes: Record<string, number> = {};
  readonly troubles: string[] = [];
  readonly reports = {
    ...SILENT_REPORTS,
    finished: (sink: string, outcome: string, lines: number): void => {
      this.outcomes[`${sink} ${outcome}`] = (this.outcomes[`${sink} ${outcome}`] ?? 0) + lines;
    },
    ruledOut: (): void => this.reports.finished("-", "ruled-out", 1),
    warned: ({ message }: Error): void => void this.troubles.push(message),
    failing: (sink: string, error: Error): void => void this.troubles.push(`${sink}: ${error.message}`),
    working: (sink: string): void => void this.troubles.push(`${sink} works`),
  };
}

let files = 0;
function open(config: string, counts = new Counts()): { log: DecisionLog; counts: Counts } {
  const file = join(directory, `log${files++}.yaml`);
  writeFileSync(file, config);
  const log = openDecisionLog({ config: file }, { service: "s" }, counts.reports);
  opened.push(log);
  return { log, counts };
}
type Event = Record<string, unknown> & { decision_id: string };
const eventsIn = (file: string): Event[] =>
  readFileSync(join(directory, file), "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Event);

/** A receiver as OPA's: the events it got, and its answers. */
async function receiver(answer: (events: Event[]) => number): Promise<{ url: string; got: Event[] }> {
  const got: Event[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const events = JSON.parse(gunzipSync(Buffer.concat(chunks)).toString()) as Event[];
      const status = answer(events);
      if (status === 200) got.push(...events);
      response.writeHead(status).end();
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}/logs`, got };
}

it("bounds the length of an event, whatever names and attributes a file has", async () => {
  const { log } = open("sinks: [{ kind: file, path: long.log }]\n");
  const paths = Array.from({ length: 64 }, (_, at) => `${at}/${"\x01".repeat(4_000)}`);
  const xattrs = new Map([["user.key", Buffer.alloc(65_536, 1)]]);
  log.record({ ...question, resource: { ...question.resource, paths, xattrs } }, decision("d1"), 1n);
  log.record({ ...question, resource: { ...question.resource, paths: ["\xff".repeat(16_384)], xattrs } }, decision("d2"), 1n);
  await log.close();
  const lines = readFileSync(join(directory, "long.log"), "utf8").trimEnd().split("\n");
  expect(lines.map((line) => Buffer.byteLength(line) <= 256 * 1024)).toEqual([true, true]);
  const [first, second] = lines.map((line) => JSON.parse(line) as Event);
  expect(first).toMatchObject({ decision_id: "d1", omitted: { paths: 59, xattrs: ["user.key"], groups: 0 }, result: { effect: "grant" } });
  expect(second).toMatchObject({ decision_id: "d2", omitted: { paths: 0, xattrs: ["user.key"], groups: 0 } });
  expect(lines.map((line) => readLogLine(line).kind)).toEqual(["unreadable", "unreadable"]);
});

it("warns of a sink that shows its token to others on the way, with the place", () => {
  writeFileSync(join(directory, "token"), "t0ken\n");
  const { counts } = open(`sinks:
  - { kind: http, url: "http://logs.example/logs", tokenFile: token }
  - { kind: nats, servers: "nats://nats-1:4222", subject: s, tokenFile: token }
  - { kind: http, url: "http://127.0.0.1:9/logs", tokenFile: token }
  - { kind: nats, servers: "tls://nats-1:4222", subject: s, tokenFile: token }
`);
  expect(counts.troubles).toEqual([
    expect.stringMatching(/log\d+\.yaml:2:\d+: the token goes over plain HTTP/),
    expect.stringMatching(/log\d+\.yaml:3:\d+: the token goes to NATS in clear/),
  ]);
});

describe("an event", () => {
  it("has the shape of OPA's, and says less where it is masked", async () => {
    const { log } = open(`sinks: [{ kind: file, path: shape.log }]
mask: [/input/subject/executable, /input/nothing/there, { path: /input/resource/xattrs/user.key, op: upsert, value: "***" }, /result/a~1b]
`);
    log.record(question, decision("d1"), 7_000n);
    log.recordHits("m", "r1", [{ decisionId: "d1", count: 4n }]);
    await log.close();
    const [event, hits] = eventsIn("shape.log") as [Event, Event];
    expect(event).toMatchObject({
      labels: { service: "s" },
      decision_id: "d1",
      path: "sluice/decision",
      bundles: { "p.yaml": { revision: "3 ab" } },
      requested_by: "m",
      result: { effect: "grant" },
      metrics: { timer_server_handler_ns: 7000 },
      erased: ["/input/subject/executable"],
      masked: ["/input/resource/xattrs/user.key"],
    });
    expect(Date.parse(event["timestamp"] as string)).toBeGreaterThan(0);
    expect(readFileSync(join(directory, "shape.log"), "utf8")).not.toMatch(/s3cret|bin\/cat/);
    expect(hits).toMatchObject({ decision_id: "d1", cached: true, count: 4, report_id: "r1" });
    // The mask left the question itself alone.
    expect(question.subject.executable).toBe("/bin/cat");
  });

  it("masks the program for people with the executable", async () => {
    const { log } = open(`sinks: [{ kind: file, path: program.log }]\nmask: [/input/subject/executable]\n`);
    const { executable: _, ...subject } = question.subject;
    log.record({ ...question, subject, program: "/bin/told-nobody" }, decision("d1"), 0n);
    const plain = open("sinks: [{ kind: file, path: plain.log }]\n");
    plain.log.record({ ...question, subject, program: "/bin/c\xc3\xa4t" }, decision("d1"), 0n);
    await Promise.all([log.close(), plain.log.close()]);
    expect(readFileSync(join(directory, "program.log"), "utf8")).not.toContain("told-nobody");
    expect(eventsIn("program.log")[0]).toMatchObject({ erased: ["/input/program"] });
    expect(eventsIn("plain.log")[0]).toMatchObject({ input: { program: "/bin/cät" } });
  });

  it("writes the caller's program and cgroup as text, reads their bytes back, and masks both forms", async () => {
    const subjects = ["\xc3\xa4", "\xff"].map((name) => ({ ...question.subject, executable: `/bin/c${name}t`, cgroup: `/${name}` }));
    const masked = open("sinks: [{ kind: file, path: caller-masked.log }]\nmask: [/input/subject/executable, /input/subject/cgroup]\n");
    const plain = open("sinks: [{ kind: file, path: caller.log }]\n");
    for (const { log } of [masked, plain]) for (const subject of subjects) log.record({ ...question, subject }, decision("d1"), 0n);
    await Promise.all([masked.log.close(), plain.log.close()]);
    expect(eventsIn("caller.log")[0]).toMatchObject({ input: { subject: { executable: "/bin/cät", cgroup: "/ä" } } });
    const read = readFileSync(join(directory, "caller.log"), "utf8").trim().split("\n").map(readLogLine);
    expect(read.map((line) => line.kind === "decision" && line.question.subject)).toEqual(subjects);
    const { uid, gid, groups, pid } = question.subject;
    expect(eventsIn("caller-masked.log").map(({ input }) => (input as { subject: object }).subject)).toEqual(
      Array(2).fill({ uid, gid, groups, pid }),
    );
  });

  it("masks the base64 form of a name with its text", async () => {
    const xattrs = new Map([
      ["user.key", Buffer.from("\xffs3cret", "latin1")],
      ["user.other", Buffer.from([0xfe])],
    ]);
    const secret: Question = { ...question, resource: { ...question.resource, paths: ["s3cret/\xff"], xattrs } };
    const { log } = open(`sinks: [{ kind: file, path: raw.log }]
mask: [/input/resource/paths/0, { path: /input/resource/xattrs/user.key, op: upsert, value: "***" }]
`);
    log.record(secret, decision("d1"), 0n);
    await log.close();
    const [event] = eventsIn("raw.log") as [Event & { input: { resource: object } }];
    expect(event.input.resource).toMatchObject({ paths: [], rawXattrs: { "user.other": "/g==" } });
    expect(event).toMatchObject({
      erased: ["/input/resource/paths/0", "/input/resource/rawPaths", "/input/resource/rawXattrs/user.key"],
      masked: ["/input/resource/xattrs/user.key"],
    });
    expect(JSON.stringify(event)).not.toMatch(/s3cret|czNjcmV0|\/3Mz|rawPaths":/);
  });

  it("says how much of a file was looked at, and what that was only where it is asked for", async () => {
    const head = { bytes: Buffer.from("s3cret"), askedBytes: 512 };
    const inside: Question = { ...question, resource: { ...question.resource, xattrs: new Map(), head } };
    const eventOf = async (name: string, more: string): Promise<Event & { input: { resource: object } }> => {
      const { log } = open(`sinks: [{ kind: file, path: ${name} }]\n${more}`);
      log.record(inside, decision("d1"), 0n);
      log.record(question, decision("d2"), 0n);
      await log.close();
      const [event, without] = eventsIn(name) as [Event & { input: { resource: object } }, Event];
      expect(without["erased"] ?? []).not.toContain("/input/resource/head/base64");
      return event;
    };
    const plain = await eventOf("head.log", "");
    expect(plain.input.resource).toMatchObject({ head: { askedBytes: 512, bytes: 6 } });
    expect(plain["erased"]).toEqual(["/input/resource/head/base64"]);
    expect(JSON.stringify(plain)).not.toContain("czNjcmV0");
    const masked = await eventOf("masked.log", "mask: [/input/openFlags]\n");
    expect(masked["erased"]).toEqual(["/input/resource/head/base64", "/input/openFlags"]);
    const whole = await eventOf("heads.log", "heads: true\n");
    expect(whole.input.resource).toMatchObject({ head: { askedBytes: 512, base64: "czNjcmV0" } });
    expect(whole).not.toHaveProperty("erased");
  });

  it("is left out where a rule says so, and that is counted", async () => {
    const { log, counts } = open(`sinks: [{ kind: file, path: drops.log }]
drop: [{ effect: grant, path: "public/**" }, { rule: noise }]
`);
    const elsewhere = { ...question, resource: { ...question.resource, paths: ["public/a", "b"] } };
    log.record(question, decision("d1"), 0n);
    log.record(question, decision("d2", { effect: "deny" }), 0n);
    log.record(elsewhere, decision("d3"), 0n);
    log.record(elsewhere, decision("d4", { rule: "noise" }), 0n);
    await log.close();
    expect(eventsIn("drops.log").map((event) => event.decision_id)).toEqual(["d2", "d3"]);
    expect(counts.outcomes).toEqual({ "- ruled-out": 2, "file sent": 2 });
  });
});

describe("a file", () => {
  it("is not put aside if it is a device", async () => {
    const device = join(directory, "device.log");
    symlinkSync("/dev/null", device);
    const { log, counts } = open("sinks: [{ kind: file, path: device.log, maxSize: 1kB, keep: 2 }]\n");
    for (let n = 0; n < 5; n++) {
      log.record(question, decision(`d${n}`), 0n);
      await expect.poll(() => counts.outcomes["file sent"]).toBe(n + 1);
    }
    await log.close();
    expect([readlinkSync(device), existsSync(`${device}.1`)]).toEqual(["/dev/null", false]);
  });

  it("is put aside as it grows, and only so many files stay", async () => {
    const { log, counts } = open("sinks: [{ kind: file, path: rotated.log, maxSize: 4kB, keep: 2 }]\n");
    for (let n = 0; n < 40; n++) {
      log.record(question, decision(`d${n}`), 0n);
      await new Promise((resolve) => setImmediate(resolve));
      while ((counts.outcomes["file sent"] ?? 0) <= n) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await log.close();
    const ids = ["rotated.log.2", "rotated.log.1", "rotated.log"].flatMap(eventsIn).map((event) => event.decision_id);
    expect(ids).toEqual(Array.from({ length: ids.length }, (_, n) => `d${40 - ids.length + n}`));
    expect(existsSync(join(directory, "rotated.log.3"))).toBe(false);
    for (const file of ["rotated.log.1", "rotated.log.2"]) expect(readFileSync(join(directory, file)).length).toBeLessThanOrEqual(4_000);
  });

  it("is put aside as it ages", async () => {
    const { log, counts } = open("sinks: [{ kind: file, path: aged.log, maxAge: 20ms }]\n");
    log.record(question, decision("d1"), 0n);
    await expect.poll(() => counts.outcomes["file sent"]).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 40));
    log.record(question, decision("d2"), 0n);
    await log.close();
    expect([eventsIn("aged.log.1"), eventsIn("aged.log")].map((events) => events.map((event) => event.decision_id))).toEqual([
      ["d1"],
      ["d2"],
    ]);
  });
});

describe("a server", () => {
  it("gets each event once, in order, though it fails and takes little at a time", async () => {
    let turn = 0;
    const { url, got } = await receiver((events) => {
      turn++;
      if (turn <= 2) return 503;
      return events.length > 16 ? 413 : 200;
    });
    const { log, counts } = open(`sinks: [{ kind: http, url: "${url}" }]\n`);
    for (let n = 0; n < 100; n++) log.record(question, decision(`d${n}`), 0n);
    await expect.poll(() => got.length).toBe(100);
    expect(got.map((event) => event.decision_id)).toEqual(Array.from({ length: 100 }, (_, n) => `d${n}`));
    await expect.poll(() => counts.outcomes).toEqual({ "http sent": 100 });
    expect(counts.troubles).toEqual(["http: the log's server answers with HTTP 503", "http works"]);
  });

  it("drops and counts the lines that a full or gone sink cannot take; the other sinks lose nothing", async () => {
    const { url, got } = await receiver(() => 503);
    const { log, counts } = open(`sinks: [{ kind: http, url: "${url}" }, { kind: file, path: beside.log }]\nqueue: { maxEvents: 10 }\n`);
    for (let n = 0; n < 10; n++) log.record(question, decision(`d${n}`), 0n);
    await expect.poll(() => counts.outcomes["file sent"]).toBe(10);
    for (let n = 10; n < 25; n++) {
      log.record(question, decision(`d${n}`), 0n);
      await expect.poll(() => counts.outcomes["file sent"], { interval: 1 }).toBe(n + 1);
    }
    expect(counts.outcomes["http dropped"]).toBe(15);
    expect(log.room()).toBeUndefined();
    await log.close(50);
    expect(counts.outcomes).toEqual({ "http dropped": 25, "file sent": 25 });
    expect(got).toEqual([]);
  });

  it("delays the end of the service by no more than the grace if it never answers, however much waits", async () => {
    let requests = 0;
    const server = createServer(() => void requests++);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}/logs`;
    const { log, counts } = open(`sinks: [{ kind: http, url: "${url}", timeout: 1h }]\n`);
    for (let n = 0; n < 2_500; n++) log.record(question, decision(`d${n}`), 0n);
    await expect.poll(() => requests).toBe(1);
    await log.close(50);
    expect([counts.outcomes, requests]).toEqual([{ "http dropped": 2_500 }, 1]);
  });

  it("drops the one event that is too long for a server, and sends those beside it once each", async () => {
    let refusals = 1;
    const { url, got } = await receiver((events) => {
      if (events.some((event) => event.decision_id === "d3")) return 413;
      return events.length < 8 && refusals-- > 0 ? 503 : 200;
    });
    const { log, counts } = open(`sinks: [{ kind: http, url: "${url}" }]\n`);
    for (let n = 0; n < 16; n++) log.record(question, decision(`d${n}`), 0n);
    await log.close();
    expect(got.map((event) => event.decision_id)).toEqual(Array.from({ length: 16 }, (_, n) => `d${n}`).filter((id) => id !== "d3"));
    expect(counts.outcomes).toEqual({ "http sent": 15, "http dropped": 1 });
  });

  it("drops an event that a sink will never take, and goes on with the others", async () => {
    const { url, got } = await receiver((events) => (events.some((event) => event.decision_id === "bad") ? 400 : 200));
    const { log, counts } = open(`sinks: [{ kind: http, url: "${url}" }]\n`);
    log.record(question, decision("bad"), 0n);
    await expect.poll(() => counts.outcomes["http dropped"]).toBe(1);
    log.record(question, decision("good"), 0n);
    await expect.poll(() => got.map((event) => event.decision_id)).toEqual(["good"]);
  });
});

describe("a log that has to take every decision", () => {
  function engineOf(log: DecisionLog): DecisionEngine {
    const { policy } = loadPolicy(Buffer.from("version: 1\ndefault: grant\n"), "p", "p");
    const backend: PolicyBackend = {
      name: "rules",
      policy,
      failure: undefined,
      watchedDirectories: [],
      refresh: () => ({ state: "unchanged" }),
      dispose: () => Promise.resolve(),
    };
    return new DecisionEngine({
      backend,
      log: silentLogger(),
      metrics: decisionMetrics(createRegistry(false)),
      decisionLog: log,
      people: quietDesk(),
    });
  }

  it("lets a question wait for room, and refuses it if none comes", async () => {
    let works = false;
    const { url, got } = await receiver(() => (works ? 200 : 503));
    const { log, counts } = open(`sinks: [{ kind: http, url: "${url}" }]\nqueue: { maxEvents: 3, whenFull: block, blockFor: 100ms }\n`);
    const engine = engineOf(log);
    for (let n = 0; n < 3; n++) expect(engine.decide(question)).toMatchObject({ effect: "grant" });
    await expect(engine.decide(question)).rejects.toThrow("the decision log takes nothing");
    expect(engine.recordHits("m", "r", [{ decisionId: "d", count: 1n }])).toBe(false);
    works = true;
    await expect.poll(() => got.length).toBe(3);
    await expect.poll(() => log.room()).toBeUndefined();
    expect(engine.decide(question)).toMatchObject({ effect: "grant" });
    expect(engine.recordHits("m", "r", [{ decisionId: "d", count: 1n }])).toBe(true);
    await expect.poll(() => got.length).toBe(5);
    expect(counts.outcomes).toEqual({ "http sent": 5 });
  });
});

describe("a configuration", () => {
  it.each([
    ["sinks: []\n", /:1:8: 'sinks' is too small or empty: write a list/],
    ["sinks: [{ kind: fiel, path: x }]\n", /kind/],
    ["sinks: [{ kind: stdout }]\nmask: [/labels/x]\n", /:2:8: .*write pointers such as/],
    ["sinks: [{ kind: stdout }]\ndrop: [{ path: '[' }]\n", /:2:16: .*glob/],
    ["sinks: [{ kind: stdout }]\nqueue: { whenFul: drop }\n", /:2:10: key 'whenFul' is not known here: did you mean 'whenFull'\?/],
    ["sinks: [{ kind: http, url: localhost }]\n", /'url' is not valid: write http/],
    ["sinks: [{ kind: file, path: /nonexistent/x }]\n", /ENOENT/],
  ])("%j is refused with its place", (config, message) => {
    expect(() => open(config)).toThrow(message);
  });
});
