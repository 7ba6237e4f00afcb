// The commands that try a policy without a mount, as they are typed, and a decision log as the service writes it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { Question } from "@sluice/decision-api";
import { begunEarly } from "@sluice/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { sluice } from "./testing/typed-command.js";
import { openDecisionLog } from "./audit/decision-log.js";
import { readLogLine } from "./audit/read-decision-log.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-policy-run-"));
afterAll(() => rmSync(directory, { recursive: true }));
function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const question: Question = {
  id: "q1",
  operation: "open",
  accesses: ["read"],
  subject: { uid: 5, gid: 5, groups: [5, 6], pid: 1, executable: "/bin/cat", cgroup: "/" },
  resource: {
    mount: "m",
    paths: ["d\xff/key.pem"],
    layer: "upper",
    kind: "regular",
    sizeBytes: 7n,
    mode: 0o100600,
    uid: 1,
    gid: 2,
    xattrs: new Map([
      ["user.class", Buffer.from("x")],
      ["user.raw", Buffer.from([0xff, 0])],
    ]),
    head: { bytes: Buffer.from([0x7f, 0xff]), askedBytes: 512 },
  },
  openFlags: 0,
  missing: [{ name: "subject.cgroup", reason: "gone" }],
  lookedFor: ["resource.xattr.user.class"],
};
const decision = {
  effect: "grant" as const,
  errno: 0,
  decisionId: "d1",
  policyId: "p",
  rule: "default",
  revision: { sequence: 1n, digest: "0".repeat(64) },
  reason: "no rule matches",
  obligations: [],
  source: "service" as const,
};

async function writeLog(name: string): Promise<string> {
  const path = join(directory, name);
  const config = file(`${name}.yaml`, `sinks: [{ kind: file, path: ${name} }]\nheads: true\n`);
  const log = openDecisionLog({ config }, { backend: "rules" });
  log.record(question, decision, 1_000n);
  log.record(question, { ...decision, decisionId: "d2" }, 1_000n); // hedged: the same question
  log.record({ ...question, id: "q2", resource: { ...question.resource, paths: ["a"] } }, { ...decision, decisionId: "d3" }, 1_000n);
  log.recordHits("m", "r1", [{ decisionId: "d1", count: 40n }]);
  log.recordHits("m", "r1", [{ decisionId: "d1", count: 40n }]);
  await log.close();
  return path;
}

describe("a decision log", () => {
  it("is read back as it was asked, to the byte", async () => {
    const [first] = readFileSync(await writeLog("bytes.jsonl"), "utf8").split("\n") as [string];
    const line = readLogLine(first);
    expect(line).toMatchObject({ kind: "decision", decisionId: "d1", result: { effect: "grant", rule: "default" } });
    const back = (line as { question: Question }).question;
    const values = (of: Question): unknown =>
      Object.fromEntries([...of.resource.xattrs].map(([name, value]) => [name, Buffer.from(value).toString("hex")]));
    expect({ ...back, resource: { ...back.resource, xattrs: values(back) } }).toEqual({
      ...question,
      resource: { ...question.resource, xattrs: values(question) },
    });
    for (const odd of ["", "{", "{}", '{"decision_id":"x","result":{"effect":"maybe"}}', "null"])
      expect(readLogLine(odd)).toEqual({ kind: "unreadable" });
  });
});

describe("sluice policy replay", () => {
  it("shows what would change by rule and by path, counting a question once and cached answers with it", { timeout: 60_000 }, async () => {
    const log = await writeLog("replay.jsonl");
    writeFileSync(log, "nonsense\n", { flag: "a" });
    const policy = file("new.yaml", "version: 1\ndefault: grant\nrules:\n  - {name: keys, path: '**/*.pem', effect: deny}\n");
    const { status, stdout } = sluice("policy", "replay", log, "--policy", policy, "--json", "--exit-code");
    expect(status).toBe(1);
    const change = { was: { effect: "grant", rule: "default" }, now: { effect: "deny", rule: "keys" }, count: 41 };
    expect(JSON.parse(stdout)).toEqual({
      decisions: 2,
      same: 1,
      different: 1,
      failed: 0,
      unreadable: 1,
      given: { decisions: 42, same: 1, different: 41, failed: 0 },
      byRule: [change],
      byPath: [{ ...change, path: "d\ufffd/key.pem" }],
    });
    const told = sluice("policy", "replay", log, "--policy", policy);
    expect(told.status).toBe(0);
    expect(told.stdout).toMatch(/^2 decisions, given 42 times: 1 the same \(1 time\), 1 different \(41 times\), 0 without an answer\n/);
    expect(told.stdout).toContain("41  grant 'default' -> deny 'keys'");
    expect(told.stdout).toContain("\n1 line is not of a decision log\n");
    writeFileSync(log, `${readFileSync(log, "utf8").split("\n")[0]}\n`);
    expect(sluice("policy", "replay", log, "--policy", policy).stdout).toMatch(
      /^1 decision, given 1 time: 0 the same, 1 different \(1 time\), /,
    );
  });

  it("replays a log against another engine", { timeout: 60_000 }, async () => {
    file("p.cedar", "permit(principal, action, resource);");
    const { status, stdout } = sluice(
      "policy",
      "replay",
      await writeLog("cedar.jsonl"),
      "--policy",
      file("cedar.yaml", "kind: cedar\npolicies: p.cedar\n"),
    );
    expect(stdout).toContain("2 decisions, given 42 times: 2 the same (42 times), 0 different, 0 without an answer");
    expect(status).toBe(0);
  });
});

describe("a file that is no decision log", () => {
  it("is an error of replay and profile, and an empty one is not", { timeout: 60_000 }, () => {
    const policy = file("any.yaml", "version: 1\ndefault: grant\n");
    const none = file("passwd", "root:x:0:0:root:/root:/bin/sh\n{}\n");
    const empty = file("empty", "");
    for (const argv of [["policy", "replay", "--policy", policy], ["profile"], ["profile", "--policy", policy]]) {
      expect(sluice(...argv, none)).toEqual({
        status: 2,
        stdout: "",
        stderr: `sluice: ${none}: it is not a decision log: name a file that 'sluice decision --decision-log' wrote\n`,
      });
      expect(sluice(...argv, empty)).toMatchObject({ status: 0, stderr: "" });
    }
  });
});

describe("sluice profile", () => {
  it("shows where decisions and their time went, counting a question once and cached answers with it", { timeout: 60_000 }, async () => {
    const log = await writeLog("profile.jsonl");
    writeFileSync(log, "nonsense\n", { flag: "a" });
    const { status, stdout } = sluice("profile", log, "--json");
    expect(status).toBe(0);
    const took = { saved: 0, sum: 0.002, p50: 0.001, p99: 0.001, max: 0.001 };
    const grant = (count: number): object => ({ grant: count, mediate: 0, deny: 0 });
    expect(JSON.parse(stdout)).toMatchObject({
      unreadable: 1,
      all: { asked: 2, again: 0, kept: 40, effects: grant(2), tookMs: took },
      rules: [{ name: "default", asked: 2, kept: 40 }],
      directories: [
        { name: "d\ufffd/", asked: 1, kept: 40 },
        { name: "/", asked: 1, kept: 0 },
      ],
      paths: [{ name: "d\ufffd/key.pem" }, { name: "a" }],
      subjects: [{ name: "uid 5 /bin/cat", asked: 2 }],
    });
    const told = sluice("profile", log);
    expect(told.stdout).toMatch(
      /^42 decisions, from .*Z to .*Z: 2 asked, 95 % given again by mounts\n0 of them .*\n1 line is not of a decision log\n/,
    );
    expect(told.stdout).toMatch(/ 1 +0 +40 +1 +0 +0 +0\.001 +0\.001 +0\.001 {2}d\ufffd\/key\.pem\n/);
    expect(sluice("profile", join(directory, "not-there")).stderr).toMatch(
      /^sluice: .*not-there: it cannot be read \(ENOENT\): give a decision log\n$/,
    );
    expect(sluice("profile", directory)).toEqual({
      status: 2,
      stdout: "",
      stderr: `sluice: ${directory}: it cannot be read (EISDIR): give a decision log\n`,
    });
  });
});

describe("sluice profile: the savings of a change of the rules", () => {
  async function longLog(): Promise<string> {
    const path = join(directory, "savings.jsonl");
    const log = openDecisionLog({ file: path }, { backend: "rules" });
    let asked = 0;
    const ask = (mount: string, name: string, uid: number, revision = decision.revision): void => {
      const id = `s${asked++}`;
      const { resource, subject } = question;
      const each = { ...question, id, subject: { ...subject, uid }, resource: { ...resource, mount, paths: [name] } };
      log.record(each, { ...decision, decisionId: `d${id}`, revision }, 2_000_000n);
    };
    for (const mount of ["m", "n"]) for (const name of ["d/a", "d/b", "d/a", "e"]) ask(mount, name, 5);
    ask("m", "d/a", 6);
    ask("m", "d/a", 5, { sequence: 2n, digest: "1".repeat(64) });
    await log.close();
    return path;
  }
  const profileWith = async (name: string, rules: string): Promise<Record<string, unknown>> => {
    const policy = file(`${name}.yaml`, `version: 1\ndefault: grant\n${rules}`);
    return JSON.parse(sluice("profile", await longLog(), "--policy", policy, "--json").stdout) as Record<string, unknown>;
  };

  it("counts what was asked again though file, access and user were the same", { timeout: 60_000 }, async () => {
    const found = JSON.parse(sluice("profile", await longLog(), "--json").stdout) as Record<string, unknown>;
    expect(found).toMatchObject({ all: { asked: 10, again: 2 }, paths: [{ name: "d/a", asked: 6, again: 2 }, { again: 0 }, { again: 0 }] });
  });

  it("says what a candidate would still be asked, each mount keeping its own answers", { timeout: 60_000 }, async () => {
    // Nothing is looked at: one answer a mount holds for all.
    expect(await profileWith("all", "")).toMatchObject({ failed: 0, all: { asked: 10, would: 2, tookMs: { saved: 16, sum: 20 } } });
    const byUser = "rules:\n  - {name: own, path: 'd/**', subject: {uid: 5}, effect: mediate}\n";
    // d/ by user 5, d/ by user 6, and the root's other files.
    expect(await profileWith("by-user", byUser)).toMatchObject({ all: { would: 5 } });
    const narrow = "rules:\n  - {name: own, path: 'd/**', effect: mediate, scope: this}\n";
    expect(await profileWith("this", narrow)).toMatchObject({ all: { would: 6 } });
    const told = sluice("profile", await longLog(), "--policy", join(directory, "this.yaml"));
    expect(told.stdout).toContain("this.yaml 6 would be asked: it saves 40 % of the questions and 8.000 of 20.000 ms in the service\n");
    expect(told.stdout).toMatch(/^ASKED +AGAIN +WOULD +KEPT/m);
  });

  it("names a candidate that cannot be loaded", { timeout: 60_000 }, async () => {
    const broken = sluice("profile", await longLog(), "--policy", file("broken.yaml", "version: 1\ndefault: sometimes\n"));
    expect(broken).toMatchObject({ status: 2, stdout: "" });
    expect(broken.stderr).toMatch(/broken.yaml:2:10: 'default' is none of/);
  });
});

describe("sluice policy test", () => {
  it("exits 1 and tells the line where a case does not pass, and 2 where a file is wrong", { timeout: 60_000 }, () => {
    const policy = file("t.yaml", "version: 1\ndefault: grant\nrules:\n  - {name: keys, path: '**/*.pem', effect: deny}\n");
    const cases = file(
      "cases.yaml",
      "cases:\n  - {path: a.pem, expect: deny}\n  - {name: open file, path: a, expect: {effect: mediate}}\n",
    );
    const found = sluice("policy", "test", policy, cases);
    expect(found).toMatchObject({ status: 1, stderr: "" });
    expect(found.stdout).toBe(`${cases}:3: open file: effect is "grant", not "mediate" (no rule matches)\n1 of 2 cases pass\n`);
    const wrong = sluice("policy", "test", policy, file("wrong.yaml", "cases:\n  - {path: a}\n"));
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toMatch(/^sluice: .*wrong.yaml:2:5: 'expect' is missing: write grant/);
    expect(sluice("policy", "test", policy, join(directory, "none")).status).toBe(2);
  });
});

describe("sluice policy explain", () => {
  it("shows effect, rule, revision and for what else it holds", () => {
    const policy = file(
      "e.yaml",
      "version: 1\nrevision: 7\ndefault: grant\nrules:\n  - {name: own, path: 'd/**', subject: {uid: 5}, effect: deny}\n",
    );
    const { status, stdout } = sluice("policy", "explain", policy, "./d//y/../x", "--uid", "5", "--access", "write");
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /effect +deny \(EACCES\)\nrule +own\nreason .*\npolicy +e.yaml, revision 7 [0-9a-f]{12}\nholds +for all of 'd\/'.*write.*uid/,
    );
    expect(sluice("policy", "explain", policy, "a", "--uid", "x").status).toBe(2);
    expect(sluice("policy", "explain", policy, "a", "--uid", "4294967295").status).toBe(0);
    const stderr = "sluice: --uid 4294967296: it is no id: write one from 0 to 4294967295\n";
    expect(sluice("policy", "explain", policy, "a", "--uid", "4294967296")).toEqual({ status: 2, stdout: "", stderr });
    expect(sluice("policy", "diff", policy, policy, "--tree", directory, "--uid", "4294967296")).toEqual({ status: 2, stdout: "", stderr });
  });

  it("says that a change under readOnly is denied, as a mount denies it", () => {
    const rule = "{name: frozen, path: 'ro/**', effect: grant, obligations: {readOnly: true}}";
    const policy = file("ro.yaml", `version: 1\ndefault: grant\nrules:\n  - ${rule}\n`);
    const { stdout } = sluice("policy", "explain", policy, "ro/a", "--access", "write");
    expect(stdout).toMatch(
      /^effect +deny \(EROFS\)\nrule +frozen\nreason +read-only by obligation; was: .*\nobligations +readOnly: true\n/,
    );
    expect(sluice("policy", "explain", policy, "ro/a").stdout).toMatch(/^effect +grant\n/);
  });

  it("tells that the engine of the policy does not answer", () => {
    const policy = file("o.yaml", "kind: opa\nurl: http://127.0.0.1:1\npath: a/b\n");
    const { status, stderr } = sluice("policy", "explain", policy, "a");
    expect(status).toBe(1);
    expect(stderr).toMatch(/^sluice: .*o\.yaml: no answer: .*ECONNREFUSED.*: see that its engine runs, and answers\n$/);
  });

  it("refuses a path outside of the mount, and says what to type", () => {
    const policy = file("p.yaml", "version: 1\ndefault: grant\n");
    for (const path of ["/d/x", "//d/./x"])
      expect(sluice("policy", "explain", policy, path)).toEqual({
        status: 2,
        stdout: "",
        stderr: `sluice: ${path}: it is an absolute path: write the path below the mount's root, as in d/x; 'sluice explain' takes a file of a running mount\n`,
      });
    const outside = sluice("policy", "explain", policy, "a/../../d/x");
    expect(outside).toMatchObject({ status: 2, stdout: "" });
    expect(outside.stderr).toMatch(
      /^sluice: a\/\.\.\/\.\.\/d\/x: it leads out of the mount: write the path below the mount's root, as in d\/x; /,
    );
  });
});

it(
  "waits for the server of a bundle, and then tells that the policy cannot be had",
  begunEarly(async () => {
    const policy = file("bundle.yaml", "kind: bundle\nurl: http://127.0.0.1:1/x.tar.gz\n");
    const main = fileURLToPath(new URL("../bin/sluice-decision.cjs", import.meta.url));
    const child = spawn(process.execPath, [main, "policy", "check", policy]);
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
    expect({ code, said }).toEqual({
      code: 2,
      said: `sluice: ${policy}:2:6: the policy cannot be had: connect ECONNREFUSED 127.0.0.1:1: start the server, or correct the address\n`,
    });
  }),
  60_000,
);
