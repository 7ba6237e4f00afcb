import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Question } from "@sluice/decision-api";
import { afterAll, describe, expect, it } from "vitest";
import type { Ruling } from "../backend.js";
import { backendContract } from "../contract-suite.js";
import { sampleQuestion, STANDARD_POLICY } from "../testing/standard-policy.js";
import { loadPolicy } from "./load-policy.js";
import { PolicyError, problemLine } from "./problem.js";
import { rulesBackend } from "../file-backend.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-rules-"));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
function file(text: string): string {
  const path = join(directory, `policy-${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}
const load = (rules: string, fallback = "grant") =>
  loadPolicy(Buffer.from(`version: 1\ndefault: ${fallback}\nrules:\n${rules}`), "p.yaml", "p.yaml");
const evaluate = (rules: string, question: Question, fallback = "grant"): Ruling =>
  load(rules, fallback).policy.evaluate(question) as Ruling;
function problems(text: string): string[] {
  try {
    return loadPolicy(Buffer.from(text), "p.yaml", "p.yaml").warnings.map((problem) => `warning ${problemLine("p", problem)}`);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return error.problems.map((problem) => (problem.severity === "warning" ? "warning " : "") + problemLine("p", problem));
  }
}

backendContract("rules", () => rulesBackend(file(STANDARD_POLICY)));

describe("rules", () => {
  const subject = sampleQuestion().subject;
  const resource = sampleQuestion().resource;

  it("are tried in order, and the first that matches holds", () => {
    const rules = "  - {name: a, path: 'x/y', effect: mediate}\n  - {name: b, path: 'x/**', effect: deny, errno: ENOENT}\n";
    expect(evaluate(rules, sampleQuestion({ paths: ["x/y"] }))).toMatchObject({ effect: "mediate", rule: "a" });
    expect(evaluate(rules, sampleQuestion({ paths: ["x/z"] }))).toMatchObject({ effect: "deny", rule: "b", errno: 2 });
    expect(evaluate(rules, sampleQuestion({ paths: ["z"] }))).toMatchObject({ effect: "grant", rule: "default" });
  });

  it("hold for every name of a file and for every access of an open", () => {
    const rules = "  - {name: s, path: 'secret/**', effect: deny}\n  - {name: w, access: write, effect: mediate}\n";
    expect(evaluate(rules, sampleQuestion({ paths: ["public/x", "secret/x"] })).rule).toBe("s");
    expect(evaluate(rules, sampleQuestion({ accesses: ["read", "write"] })).rule).toBe("w");
    expect(evaluate(rules, sampleQuestion({ accesses: ["truncate"] })).rule).toBe("w");
  });

  it("are held to by the strictest outage mode of all that decide", () => {
    const onOutageOf = (read: string, write: string): unknown => {
      const rules = `  - {name: r, access: read, effect: grant${read}}\n  - {name: w, access: write, effect: mediate${write}}\n`;
      return evaluate(rules, sampleQuestion({ accesses: ["write", "read"] })).onOutage;
    };
    const [deny, stale, mediate] = [", onOutage: deny", ", onOutage: stale", ", onOutage: mediate"];
    expect([onOutageOf(deny, mediate), onOutageOf(mediate, deny), onOutageOf(deny, "")]).toEqual(["deny", "deny", "deny"]);
    expect([onOutageOf(stale, mediate), onOutageOf(stale, stale)]).toEqual(["stale", "stale"]);
    expect([onOutageOf(mediate, ""), onOutageOf("", mediate)]).toEqual([undefined, undefined]);
    expect([onOutageOf(stale, ""), onOutageOf("", stale)]).toEqual(["stale-unless-deny", "stale-unless-deny"]);
    expect(
      evaluate(`  - {name: w, access: write, effect: mediate${stale}}\n`, sampleQuestion({ accesses: ["read", "write"] })),
    ).toMatchObject({
      rule: "w",
      onOutage: "stale-unless-deny",
    });
  });

  it("say whose rates they are, if several set one, or another one than the answer names", () => {
    const rate = (name: string, access: string, says: string): string =>
      `  - {name: ${name}, access: ${access}, effect: mediate, obligations: {${says}}}\n`;
    const both = rate("r", "read", "readBytesPerSecond: 5, audit: each-io") + rate("w", "write", "writeBytesPerSecond: 7, ratePer: rule");
    const ratesOf = (rules: string, ...accesses: Question["accesses"]): unknown => evaluate(rules, sampleQuestion({ accesses })).rates;
    expect(ratesOf(both, "read", "write")).toEqual([
      { rule: "r", obligations: [{ name: "readBytesPerSecond", value: "5" }] },
      {
        rule: "w",
        obligations: [
          { name: "writeBytesPerSecond", value: "7" },
          { name: "ratePer", value: "rule" },
        ],
      },
    ]);
    expect([ratesOf(both, "read"), ratesOf(both, "write")]).toEqual([undefined, undefined]);
    const writes = rate("r", "read", "audit: each-io") + rate("w", "write", "writeBytesPerSecond: 7");
    expect(ratesOf(writes, "read", "write")).toEqual([{ rule: "w", obligations: [{ name: "writeBytesPerSecond", value: "7" }] }]);
    expect(ratesOf(rate("a", "[read, write]", "writeBytesPerSecond: 7"), "read", "write")).toBeUndefined();
  });

  it("without access cover everything if they deny, and use if they let through", () => {
    expect(evaluate("  - {name: d, effect: deny}\n", sampleQuestion({ accesses: ["delete"] })).effect).toBe("deny");
    expect(evaluate("  - {name: m, effect: mediate}\n", sampleQuestion({ accesses: ["delete"] }))).toMatchObject({
      effect: "grant",
      rule: "default",
    });
    expect(evaluate("  - {name: m, effect: mediate}\n", sampleQuestion({ accesses: ["rename"] })).effect).toBe("mediate");
    expect(evaluate("  - {name: g, effect: grant}\n", sampleQuestion({ accesses: ["delete"] }), "deny").effect).toBe("deny");
  });

  it("test the subject", () => {
    const rules = "  - {name: s, subject: {uid: [1, 2], gid: 5, executable: '/usr/bin/*', cgroup: '/docker/**'}, effect: deny}\n";
    const match = { ...subject, uid: 2, gid: 5, executable: "/usr/bin/vim", cgroup: "/docker/a/b" };
    expect(evaluate(rules, sampleQuestion({ subject: match })).rule).toBe("s");
    for (const change of [{ uid: 3 }, { gid: 6 }, { executable: "/bin/vim" }, { cgroup: "/user" }]) {
      expect(evaluate(rules, sampleQuestion({ subject: { ...match, ...change } })).rule).toBe("default");
    }
  });

  it("match only if their condition is true", () => {
    const rules =
      "  - {name: c, when: \"resource.size > 5 && resource.xattr['user.class'] == 'restricted' && access == 'read'\", effect: deny}\n";
    const xattrs = new Map([["user.class", Buffer.from("restricted")]]);
    const facts = { lookedFor: ["resource.xattr.user.class"] };
    expect(evaluate(rules, sampleQuestion({ resource: { ...resource, xattrs } })).rule).toBe("c");
    expect(evaluate(rules, sampleQuestion(facts)).rule).toBe("default");
    expect(evaluate(rules, sampleQuestion({ resource: { ...resource, xattrs, sizeBytes: 5n } })).rule).toBe("default");
    const other = "  - {name: c, when: \"resource.xattr['user.class'] != 'public'\", effect: deny}\n";
    expect(evaluate(other, sampleQuestion(facts)).rule).toBe("c");
    const has = "  - {name: c, when: \"has(resource.xattr.x) || 'y' in resource.xattr\", effect: deny}\n";
    expect(evaluate(has, sampleQuestion({ lookedFor: ["resource.xattr.x", "resource.xattr.y"] })).rule).toBe("default");
    expect(
      evaluate(
        has,
        sampleQuestion({ lookedFor: ["resource.xattr.x"], resource: { ...resource, xattrs: new Map([["y", Buffer.from("")]]) } }),
      ).rule,
    ).toBe("c");
  });

  it("test labels of the mount, which a mount may lack, without a narrower scope", () => {
    const rules = "  - {name: l, when: \"resource.label['pod.namespace'] != 'training'\", effect: deny}\n";
    const labelled = { ...resource, labels: { "pod.namespace": "training" } };
    const granted = evaluate(rules, sampleQuestion({ resource: labelled }));
    expect(granted).toMatchObject({ effect: "grant", rule: "default" });
    expect(granted.scope).toMatchObject({ subtree: "", subject: [], resource: [], xattrs: [] });
    expect(evaluate(rules, sampleQuestion({ resource: { ...resource, labels: { "pod.namespace": "other" } } })).rule).toBe("l");
    expect(evaluate(rules, sampleQuestion()).rule).toBe("l");
    const has = "  - {name: h, when: \"has(resource.label.team) && !('pod.name' in resource.label)\", effect: deny}\n";
    expect(evaluate(has, sampleQuestion({ resource: { ...resource, labels: { team: "" } } })).rule).toBe("h");
    expect(evaluate(has, sampleQuestion({ resource: labelled })).rule).toBe("default");
  });

  it("see groups and path in conditions", () => {
    const rules = "  - {name: g, when: 'subject.groups.exists(g, g == 42) && resource.path.startsWith(\"d/\")', effect: deny}\n";
    expect(evaluate(rules, sampleQuestion({ paths: ["d/x"], subject: { ...subject, groups: [1, 42] } })).rule).toBe("g");
    expect(evaluate(rules, sampleQuestion({ paths: ["e/x"], subject: { ...subject, groups: [1, 42] } })).rule).toBe("default");
  });

  it("rules with a missing fact match if they are stricter than the rules behind them, and say so", () => {
    const gone = { missing: [{ name: "subject.cgroup", reason: "the caller has ended (ESRCH)" }] };
    const strict = evaluate("  - {name: c, subject: {cgroup: '/docker/**'}, effect: deny}\n", sampleQuestion(gone));
    expect(strict).toMatchObject({ effect: "deny", rule: "c" });
    expect(strict.reason).toContain("subject.cgroup is missing: the caller has ended (ESRCH)");
    expect(evaluate("  - {name: c, subject: {cgroup: '/docker/**'}, effect: grant}\n", sampleQuestion(gone), "deny").rule).toBe("default");
    const chain =
      "  - {name: a, subject: {cgroup: '/a'}, effect: mediate}\n  - {name: b, subject: {cgroup: '/b'}, effect: deny}\n  - {name: c, effect: grant}\n";
    expect(evaluate(chain, sampleQuestion(gone)).rule).toBe("b");
    expect(evaluate("  - {name: a, subject: {cgroup: '/a', uid: 7}, effect: deny}\n", sampleQuestion(gone)).rule).toBe("default");
  });

  it("rules for a user or group whom nobody knows are rules on a missing fact", () => {
    const anonymous = { missing: ["uid", "gid", "pid"].map((name) => ({ name: `subject.${name}`, reason: "the engine does not know" })) };
    for (const test of ["subject: {uid: 1}", "subject: {gid: 1}", "when: 'subject.uid == 1'", "when: 'subject.pid == 1'"]) {
      expect(evaluate(`  - {name: r, ${test}, effect: deny}\n`, sampleQuestion(anonymous))).toMatchObject({ effect: "deny", rule: "r" });
      expect(evaluate(`  - {name: r, ${test}, effect: grant}\n`, sampleQuestion(anonymous), "deny")).toMatchObject({
        effect: "deny",
        rule: "default",
      });
    }
  });

  it("take a fact that was not looked for as missing", () => {
    const rules = "  - {name: x, when: \"resource.xattr['user.class'] == 'restricted'\", effect: deny}\n";
    expect(evaluate(rules, sampleQuestion()).rule).toBe("x");
    expect(evaluate(rules, sampleQuestion({ lookedFor: ["resource.xattr.user.class"] })).rule).toBe("default");
    const { executable: _, ...without } = subject;
    expect(evaluate("  - {name: e, subject: {executable: '/a'}, effect: deny}\n", sampleQuestion({ subject: without })).rule).toBe("e");
  });

  it("rules with a condition that fails on a file count as undecidable", () => {
    const rules = "  - {name: z, when: '10 / resource.size > 3', effect: deny}\n";
    expect(evaluate(rules, sampleQuestion({ resource: { ...resource, sizeBytes: 0n } })).rule).toBe("z");
  });

  it("share a rate as widely as one of them says, whichever comes first", () => {
    const narrow = "  - {name: r, access: read, effect: mediate, obligations: {readBytesPerSecond: 5, ratePer: handle}}\n";
    const wide = "  - {name: w, access: write, effect: mediate, obligations: {writeBytesPerSecond: 5, ratePer: rule}}\n";
    const both = sampleQuestion({ accesses: ["read", "write"] });
    for (const rules of [narrow + wide, wide + narrow]) {
      expect(evaluate(rules, both).obligations).toContainEqual({ name: "ratePer", value: "rule" });
    }
  });

  it("pass on obligations, all of them and the tighter", () => {
    const rules =
      "  - {name: r, access: read, effect: mediate, obligations: {readBytesPerSecond: 100, audit: each-io}}\n  - {name: w, access: write, effect: mediate, obligations: {readBytesPerSecond: 20}}\n";
    expect(evaluate(rules, sampleQuestion({ accesses: ["read", "write"] })).obligations).toEqual([
      { name: "audit", value: "each-io" },
      { name: "readBytesPerSecond", value: "20" },
    ]);
  });

  it("tell what they look at", () => {
    const { capabilities } = load(
      "  - {name: a, access: [delete], path: x, effect: deny}\n  - {name: b, access: [read], when: \"resource.xattr['user.a'] == 'b' || subject.groups.size() > 1\", subject: {cgroup: /x}, effect: mediate}\n",
    ).policy;
    expect([...capabilities.accesses].sort()).toEqual(["delete", "read"]);
    expect(capabilities).toMatchObject({
      needsGroups: true,
      needsCgroup: true,
      needsExecutable: false,
      xattrs: ["user.a"],
      unconditionalGrant: false,
    });
    expect(load("  - {name: g, effect: grant}\n").policy.capabilities.accesses.size).toBe(0);
  });
});

describe("mistakes", () => {
  it.each([
    ["", "p:1:1: the policy is empty"],
    ["version: 2\ndefault: grant\n", "p:1:10: 'version' is none of 1"],
    ["version: 1\n", "p:1:1: 'default' is missing: write default: grant, mediate or deny"],
    ["version: 1\ndefault: grnt\n", "p:2:10: 'default' is none of grant, mediate, deny: did you mean 'grant'?"],
    ["version: 1\ndefault: deny\nrulez: []\n", "p:3:1: key 'rulez' is not known here: did you mean 'rules'?"],
    [
      "version: 1\ndefault: deny\nrules:\n  - name: a\n    efect: deny\n    effect: deny\n",
      "p:5:5: rule 'a': key 'efect' is not known here: did you mean 'effect'?",
    ],
    ["version: 1\ndefault: deny\ndefault: deny\n", "p:3:1: a key is given twice: keep one"],
    ["version: 1\n  default: [\n", "this is not YAML"],
    [
      "version: 1\ndefault: deny\nrules:\n  - {name: a, path: [ok, '/x'], effect: deny}\n",
      "p:4:27: rule 'a': glob '/x': it has a leading slash: write it from the mount's root: x",
    ],
    ["version: 1\ndefault: deny\nrules:\n  - {name: a, path: 'd/[z', effect: deny}\n", "'[' is not closed"],
    [
      "version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, when: 'subject.uid == 1 && nope'}\n",
      "p:4:56: rule 'a': condition: 'nope' is not known",
    ],
    ["version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, when: 'subject.uid &&& 1'}\n", "expecting"],
    [
      "version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, when: 'subject.user == 1'}\n",
      "'subject.user' is not known: use one of subject.uid",
    ],
    [
      "version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, when: 'true || resource.path.startsWith(1)'}\n",
      "no matching overload",
    ],
    ["version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, when: 'resource.size'}\n", "does not say true or false"],
    [
      "version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, when: 'resource.path.matches(resource.layer)'}\n",
      "pattern of matches() is computed",
    ],
    [
      "version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, when: 'subject.groups.all(a, subject.groups.all(b, a == b))'}\n",
      "a loop stands inside another",
    ],
    ["version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, when: 'resource.xattr[resource.path] == \"\"'}\n", "is computed"],
    [
      "version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, when: 'resource.label[resource.path] == \"\"'}\n",
      "name of a label is computed",
    ],
    [
      "version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, when: 'resource.label.size() == 1'}\n",
      "'resource.label' is used as a whole",
    ],
    [
      "version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny}\n  - {name: a, path: x, effect: deny}\n",
      "p:5:12: rule 'a': another rule has this name already, at line 4",
    ],
    ["version: 1\ndefault: deny\nrules:\n  - {name: a, effect: mediate, obligations: {audit: all}}\n", "'audit' is none of each-io"],
    ["version: 1\ndefault: deny\nrules:\n  - {name: a, effect: mediate, obligations: {logg: true}}\n", "key 'logg' is not known here"],
    ["version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, obligations: {audit: each-io}}\n", "nothing to oblige"],
    ["version: 1\ndefault: deny\nrules:\n  - {name: a, effect: grant, errno: EPERM}\n", "'errno' belongs to a denial"],
    [
      "version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, ttl: soon}\n",
      "'ttl' is not valid: write a whole number and ms, s, m or h",
    ],
    ["version: 1\ndefault: deny\nrules:\n  - {name: a, effect: deny, subject: {uid: root}}\n", "'uid' is not a number"],
    [
      "version: 1\ndefault: deny\nrules:\n  - {name: all, effect: deny}\n  - {name: late, path: x, effect: deny}\n",
      "warning p:5:5: rule 'late': it is never reached: rule 'all' takes all of it",
    ],
    [
      "version: 1\ndefault: grant\nrules:\n  - {name: a, effect: grant, obligations: {audit: each-io}}\n",
      "warning p:4:51: rule 'a': 'audit' cannot be kept",
    ],
  ])("in %j are named with place and remedy", (text, expected) => {
    expect(problems(text).join("\n")).toContain(expected);
  });

  it("are named all at once, in the order of the file", () => {
    const found = problems(
      "version: 1\ndefault: deny\nrules:\n  - {name: a, path: '/x', effect: deny}\n  - {name: a, effect: grant, errno: EPERM}\n  - {name: c, effect: deny, when: 'x'}\n",
    );
    expect(found.length).toBeGreaterThanOrEqual(4);
    const lines = found.map((line) => Number(/p:(\d+)/.exec(line)?.[1]));
    expect(lines).toEqual([...lines].sort((a, b) => a - b));
  });

  it("yield no mistakes for correct policies, and never throw", () => {
    expect(problems("version: 1\nrevision: 7\ndefault: grant\n")).toEqual([]);
    for (const text of [
      "[]",
      "5",
      "a: &a [*a]",
      "\xff",
      "version: 1\ndefault: {}\nrules: {a: 1}\n",
      "- - -",
      "? [a]\n: b",
      "!!js/function x",
      "version: 1\ndefault: deny\nrules: [null, 5]\n",
    ]) {
      expect(problems(text).length, text).toBeGreaterThan(0);
    }
  });

  it("are all named, those inside rules too, beside an unknown key and a value of the wrong kind", () => {
    const text = `version: 1
default: grnt
colour: red
digests: { known: f.sha256 }
rules:
  - { name: a, path: "a/", effect: deny, extra: 1 }
  - { name: b, path: "b", when: "resource.digest in digests.known && )", effect: dney, errno: EPERM }
  - { name: a, subject: { uid: x, executable: "bin/*" }, effect: grant, errno: EPERM }
  - 7
`;
    const mistakes = problems(text).filter((line) => !line.startsWith("warning "));
    expect(mistakes.map((line) => /^p:(\d+):\d+: (?:rule '[^']*': )?(?:glob '[^']*': )?([^:]*)/.exec(line)?.slice(1).join(" "))).toEqual([
      "2 'default' is none of grant, mediate, deny",
      "3 key 'colour' is not known here",
      "6 it has an empty name",
      "6 key 'extra' is not known here",
      expect.stringMatching(/^7 condition/) as string,
      "7 'effect' is none of grant, mediate, deny, hide, ask",
      "8 another rule has this name already, at line 6",
      "8 an entry of 'uid' is not a number",
      "8 it has no leading slash",
      "8 'errno' belongs to a denial",
      "9 an entry of 'rules' is not a mapping",
    ]);
  });

  it("are warned of where a glob cannot mean what it says", () => {
    const warned = (glob: string): string =>
      problems(`version: 1\ndefault: grant\nrules:\n  - {name: a, path: ${glob}, effect: deny}\n`).join();
    expect(warned("'*.pem'")).toBe(
      "warning p:4:21: rule 'a': glob '*.pem' matches in the mount's root alone: write '**/*.pem' to match in every directory",
    );
    expect(warned("'*'")).toContain("glob '*' matches in the mount's root alone: write '**' to match everything");
    expect(warned("'*.{pem,key}'")).toContain("write '**/*.{pem,key}'");
    expect(warned("secrets")).toBe(
      "warning p:4:21: rule 'a': glob 'secrets' matches this name and nothing below it: if it is a directory, add 'secrets/**'",
    );
    expect(warned("['a/b/{keys,x.txt}']")).toContain("if it is a directory, add 'a/b/keys/**'");
    expect(warned("'~/x.txt'")).toContain("glob '~/x.txt' does not name a home directory: write the path from the mount's root");
    expect(warned("'$HOME/x.txt'")).toContain(
      "glob '$HOME/x.txt' holds a variable, which is not replaced: write the path from the mount's root",
    );
    for (const glob of [
      "'**'",
      "'**/*.pem'",
      "'data/*'",
      "[secrets, 'secrets/**']",
      "'{secrets,secrets/**}'",
      "'**/.env'",
      "README",
      "a.txt",
    ])
      expect(warned(glob), glob).toBe("");
    const separate =
      "version: 1\ndefault: grant\nrules:\n  - {name: a, path: keys, effect: deny}\n  - {name: b, path: 'keys/**', effect: mediate}\n";
    expect(problems(separate)).toEqual([]);
  });
});

describe("the policy file", () => {
  const text = (effect: string) => `version: 1\ndefault: ${effect}\n`;

  it("is in force again after each edit, at the next look, even of the same size within a tick", () => {
    const path = file(text("grant"));
    const backend = rulesBackend(path);
    for (const effect of ["deny ", "grant", "deny ", "grant"]) {
      writeFileSync(path, text(effect));
      expect(backend.refresh()).toEqual({ state: "changed" });
      expect((backend.policy.evaluate(sampleQuestion()) as Ruling).effect).toBe(effect.trim());
    }
    const next = file(text("mediate"));
    renameSync(next, path);
    expect(backend.refresh()).toEqual({ state: "changed" });
  });

  it("stays in force over an edit that does not check, and over its loss, and the failure is told once", () => {
    const path = file(text("deny"));
    const backend = rulesBackend(path);
    writeFileSync(path, text("dney"));
    expect(backend.refresh()).toMatchObject({ state: "failed" });
    expect(backend.refresh()).toEqual({ state: "unchanged" });
    expect(backend.failure?.message).toContain("did you mean 'deny'?");
    expect((backend.policy.evaluate(sampleQuestion()) as Ruling).effect).toBe("deny");
    rmSync(path);
    expect(backend.refresh()).toMatchObject({ state: "failed" });
    expect(backend.failure?.message).toContain("ENOENT");
    writeFileSync(path, text("deny"));
    expect(backend.refresh()).toEqual({ state: "unchanged" });
    expect(backend.failure).toBeUndefined();
  });

  it("gives its number to the revision", () => {
    expect(loadPolicy(Buffer.from("version: 1\nrevision: 9\ndefault: deny\n"), "p", "p").policy.revision.sequence).toBe(9n);
  });
});
