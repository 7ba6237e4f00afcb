import { capabilitiesFromProto, capabilitiesToProto, HIDES_NAMES, type Question } from "@sluice/decision-api";
import { describe, expect, it } from "vitest";
import { readPolicyCases, runPolicyCase } from "./cases/policy-cases.js";
import { replyOfResult } from "./opa/opa-result.js";
import { loadPolicy } from "./rules/load-policy.js";
import { wholeQuestion } from "./testing/standard-policy.js";

const load = (rules: string, fallback = "grant") => loadPolicy(Buffer.from(`version: 1\ndefault: ${fallback}\nrules:\n${rules}`), "p", "p");
const { policy, ruleCount } = load(
  "  - {name: notes, path: 'app/**', effect: mediate}\n" +
    "  - {name: env, path: ['**/.env', 'secrets'], effect: hide}\n" +
    "  - {name: late, path: 'app/.env', effect: grant}\n",
);
const ask = (change: Parameters<typeof wholeQuestion>[0], more: Partial<Question> = {}) =>
  policy.evaluate({ ...wholeQuestion(change), ...more });
const problemOf = (rule: string): string => {
  try {
    load(`  - ${rule}\n`);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
};

describe("a rule that hides names", () => {
  it("gives its patterns with the capabilities, which come whole over the wire", () => {
    expect(policy.capabilities.hiddenNames).toEqual(["**/.env", "secrets"]);
    expect(policy.capabilities.summary).toBe("3 rules, default grant");
    expect(ruleCount).toBe(3);
    expect(capabilitiesFromProto(capabilitiesToProto(policy.capabilities)).hiddenNames).toEqual(["**/.env", "secrets"]);
  });

  it("comes before every other rule, wherever it stands", () => {
    for (const path of ["app/.env", "secrets/a/b", ".env"]) {
      expect(ask({ paths: [path] })).toMatchObject({
        effect: "deny",
        errno: 2,
        rule: "env",
        reason: "rule 'env' hides the name",
        hides: true,
      });
    }
    expect(ask({ paths: ["app/x"] })).toMatchObject({ effect: "mediate", rule: "notes" });
  });

  it("denies making a hidden name with EACCES, whatever the operation", () => {
    for (const operation of ["create", "mkdir", "mknod", "symlink"] as const)
      expect(ask({ paths: [".env"] }, { operation, accesses: ["create"] })).toMatchObject({ effect: "deny", errno: 13 });
    for (const operation of ["link", "rename"] as const)
      expect(ask({ paths: [".env"] }, { operation, accesses: ["create"] })).toMatchObject({ errno: 13 });
    expect(ask({ paths: [".env"] }, { operation: "rename", accesses: ["rename"] })).toMatchObject({ errno: 2 });
  });

  it("lets a mount that hides names open a file by its visible name, and denies that to others", () => {
    const paths = ["app/seen", "app/.env"];
    expect(ask({ paths }, { lookedFor: [HIDES_NAMES] })).toMatchObject({ effect: "mediate" });
    expect(ask({ paths }, { lookedFor: [] })).toMatchObject({ effect: "deny", rule: "env" });
  });

  it("gives mounts that do not hide names no answer for a subtree, and has them ask about moves", () => {
    expect(ask({ paths: ["a/b/c"] }, { lookedFor: [] })).toMatchObject({ effect: "grant", scope: { subtree: undefined } });
    expect(ask({ paths: ["a/b/c"] }, { lookedFor: [HIDES_NAMES] })).toMatchObject({ effect: "grant", scope: { subtree: "a" } });
    const { capabilities } = load("  - {name: h, path: 'x', effect: hide}\n").policy;
    expect([...capabilities.accesses].sort()).toEqual(["create", "read"]);
  });

  it.each([
    ["{name: h, path: 'a', effect: hide, when: 'true'}", /'when' cannot go with effect: hide: .*deny with errno: ENOENT/],
    ["{name: h, path: 'a', effect: hide, access: [read]}", /'access' cannot go with effect: hide/],
    ["{name: h, path: 'a', effect: hide, subject: {uid: 1}}", /'subject' cannot go with effect: hide/],
    ["{name: h, path: 'a', effect: hide, errno: EPERM}", /'errno' cannot go with effect: hide/],
    ["{name: h, effect: hide}", /a rule that hides names needs a path/],
    ["{name: h, path: '**', effect: hide}", /glob '\*\*': it hides the root of the mount/],
    ["{name: h, path: '/a', effect: hide}", /it has a leading slash/],
  ])("is refused as %s", (rule, problem) => {
    expect(problemOf(rule)).toMatch(problem);
  });

  it("is told of too many names with a place in the policy", () => {
    const braces = `{${Array.from({ length: 64 }, (_, at) => at).join()}}`;
    const globs = Array.from({ length: 17 }, (_, at) => `'d${at}/${braces}'`).join(", ");
    expect(problemOf(`{name: h, path: [${globs}], effect: hide}`)).toMatch(/^p:4:\d+: rule 'h': the policy hides more than 1024 names/);
  });

  it("gives no warning that a glob names a directory alone", () => {
    const { warnings } = load("  - {name: h, path: 'secrets', effect: hide}\n  - {name: d, path: 'secrets', effect: deny}\n");
    expect(warnings.map(({ line, message }) => `${line} ${message}`)).toEqual(["5 glob 'secrets' matches this name and nothing below it"]);
  });

  it("is what a case of a policy test expects", async () => {
    const cases = readPolicyCases(
      "cases:\n  - {path: a/.env, expect: hide}\n  - {path: a/.env, expect: {effect: deny, errno: ENOENT, rule: env}}\n" +
        "  - {path: a, expect: hide}\n  - {path: a/.env, expect: grant}\n",
      "c",
    );
    const outcomes = await Promise.all(cases.map((each) => runPolicyCase(policy, each)));
    expect(outcomes.map(({ differences }) => differences)).toEqual([
      [],
      [],
      ['effect is "grant", not "hide"'],
      ['effect is "hide", not "grant"'],
    ]);
  });
});

it("an engine that answers each open cannot hide a name, and says so", () => {
  for (const result of ["hide", { effect: "hide" }])
    expect(() => replyOfResult(result)).toThrow(/an answer about one open cannot hide a name/);
});
