import { type Access, capabilitiesFromProto, capabilitiesToProto, type Question } from "@sluice/decision-api";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Ruling } from "./backend.js";
import { readPolicyCases, runPolicyCase } from "./cases/policy-cases.js";
import { openPolicyFile } from "./file-backend.js";
import { replyOfResult } from "./opa/opa-result.js";
import { loadPolicy } from "./rules/load-policy.js";
import { wholeQuestion } from "./testing/standard-policy.js";

const load = (rules: string, fallback = "grant") => loadPolicy(Buffer.from(`version: 1\ndefault: ${fallback}\nrules:\n${rules}`), "p", "p");
const { policy } = load(
  "  - {name: never, path: 'keys/**', access: [write], effect: deny}\n" +
    "  - {name: person, path: ['**/*.key', 'keys/**'], effect: ask, obligations: {readOnly: true}}\n" +
    "  - {name: notes, path: 'app/**', effect: mediate}\n",
);
const ask = (change: Parameters<typeof wholeQuestion>[0]): Ruling => policy.evaluate(wholeQuestion(change)) as Ruling;

const directory = mkdtempSync(join(tmpdir(), "sluice-asking-"));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
function file(text: string): string {
  const path = join(directory, `p${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

interface Opened {
  asks: boolean | undefined;
  evaluate(question: Question): Promise<Ruling>;
}

async function withPolicy(text: string, use: (opened: Opened) => Promise<void>): Promise<void> {
  const backend = await openPolicyFile(file(text));
  try {
    await use({ asks: backend.policy.capabilities.asks, evaluate: async (question) => backend.policy.evaluate(question) });
  } finally {
    await backend.dispose();
  }
}

describe("a rule that asks a person", () => {
  it("tells mounts that the policy asks, and that the program matters, also over the wire", () => {
    const { capabilities } = policy;
    expect(capabilities).toMatchObject({ asks: true, needsExecutable: true, callerRules: ["person"] });
    expect(capabilitiesFromProto(capabilitiesToProto(capabilities)).asks).toBe(true);
    expect(load("  - {name: d, path: 'a', effect: deny}\n").policy.capabilities.asks).toBeUndefined();
  });

  it("is stricter than one that mediates, and less strict than one that denies", () => {
    expect(ask({ paths: ["a.key"] })).toMatchObject({ effect: "ask", errno: 0, rule: "person" });
    expect(ask({ paths: ["app/a", "a.key"] })).toMatchObject({ effect: "ask", rule: "person" });
    expect(ask({ paths: ["keys/a"], accesses: ["read"] })).toMatchObject({ effect: "ask" });
    expect(ask({ paths: ["keys/a"], accesses: ["read", "write"] })).toMatchObject({ effect: "deny", rule: "never" });
  });

  it("keeps its obligations for the time after the answer", () => {
    expect(ask({ paths: ["a.key"] }).obligations).toEqual([{ name: "readOnly", value: "true" }]);
  });

  it("covers the accesses of a rule that permits, and all of them if it is read-only", () => {
    const plain = load("  - {name: person, path: '**/*.key', effect: ask}\n").policy;
    const change = (access: Access): Question => wholeQuestion({ paths: ["a.key"], accesses: [access] });
    expect(plain.evaluate(change("delete"))).toMatchObject({ effect: "grant" });
    expect(plain.evaluate(change("create"))).toMatchObject({ effect: "ask" });
    expect(policy.evaluate(change("delete"))).toMatchObject({ effect: "ask" });
  });

  it.each([
    ["errno: EPERM", /'errno' belongs to a denial/],
    ["ttl: 1s", /'ttl' cannot go with effect: ask: nothing repeats the answer of a person/],
    ["scope: this", /'scope' cannot go with effect: ask/],
    ["onOutage: mediate", /'onOutage' cannot go with effect: ask/],
  ])("is refused with %s", (key, problem) => {
    expect(() => load(`  - {name: h, path: 'a', effect: ask, ${key}}\n`)).toThrow(problem);
  });

  it("is no default", () => {
    expect(() => load("  - {name: h, path: 'a', effect: ask}\n", "ask")).toThrow(/default/);
  });

  it("is what a case of a policy test expects", async () => {
    const cases = readPolicyCases(
      "cases:\n  - {path: a.key, expect: ask}\n  - {path: a.key, expect: deny}\n  - {path: a, expect: ask}\n",
      "c",
    );
    const outcomes = await Promise.all(cases.map((each) => runPolicyCase(policy, each)));
    expect(outcomes.map(({ differences }) => differences)).toEqual([[], ['effect is "ask", not "deny"'], ['effect is "grant", not "ask"']]);
  });
});

describe("a Cedar policy with @ask", () => {
  const cedar = (text: string): string => {
    writeFileSync(join(directory, `c${files}.cedar`), text);
    return `kind: cedar\npolicies: c${files}.cedar\nthreads: 1\n`;
  };
  const POLICIES = `permit(principal, action, resource) unless { resource in Directory::"closed" };
    @id("person") @ask forbid(principal, action in Action::"open", resource) when { resource.path like "*.key" };
    @id("never") forbid(principal, action, resource in Directory::"secret");`;

  it("asks if nothing else forbids, and something permits", () =>
    withPolicy(cedar(POLICIES), async ({ asks, evaluate }) => {
      expect(asks).toBe(true);
      const ruling = (path: string): Promise<Ruling> => evaluate(wholeQuestion({ paths: [path] }));
      expect(await ruling("a.key")).toMatchObject({ effect: "ask", rule: "person" });
      expect(await ruling("a")).toMatchObject({ effect: "grant" });
      expect(await ruling("secret/a.key")).toMatchObject({ effect: "deny", rule: "never" });
      expect(await ruling("closed/a.key")).toMatchObject({ effect: "deny", rule: "person" });
      expect(await ruling("closed/a")).toMatchObject({ effect: "deny", rule: "default" });
    }));

  it("denies instead of asking if a fact is missing that another one forbids by", () =>
    withPolicy(
      cedar(`${POLICIES}
        @id("x") forbid(principal, action, resource) when { principal has executable && principal.executable == "/x" };`),
      async ({ evaluate }) => {
        const { executable: _, ...subject } = wholeQuestion().subject;
        expect(await evaluate(wholeQuestion({ paths: ["a.key"], subject }))).toMatchObject({ effect: "deny", rule: "x" });
      },
    ));

  it("denies in a chain if nothing of its own file permits, and the next policy is not asked", () => {
    const forbidding = file(cedar('@id("person") @ask forbid(principal, action, resource) when { resource.path like "*.key" };'));
    const granting = file("version: 1\ndefault: grant\nrules: []\n");
    return withPolicy(`kind: chain\npolicies: [${forbidding}, ${granting}]\n`, async ({ evaluate }) => {
      expect(await evaluate(wholeQuestion({ paths: ["a.key"] }))).toMatchObject({ effect: "deny", rule: "person" });
      expect(await evaluate(wholeQuestion({ paths: ["a"] }))).toMatchObject({ effect: "grant" });
    });
  });

  it("is refused on a policy that permits", async () => {
    await expect(openPolicyFile(file(cedar('@id("p") @ask permit(principal, action, resource);')))).rejects.toThrow(
      /'p': a policy with @ask forbids until a person allows it/,
    );
  });
});

describe("policies of several parts", () => {
  const asking = (): string => file("version: 1\ndefault: grant\nrules:\n  - {name: person, path: '**/*.key', effect: ask}\n");
  const denying = (): string => file("version: 1\ndefault: grant\nrules:\n  - {name: never, path: 'secret/**', effect: deny}\n");

  it.each(["chain", "deny-overrides"])("ask as their parts do in a %s", (kind) =>
    withPolicy(`kind: ${kind}\npolicies: [${denying()}, ${asking()}]\n`, async ({ asks, evaluate }) => {
      expect(asks).toBe(true);
      expect(await evaluate(wholeQuestion({ paths: ["a.key"] }))).toMatchObject({ effect: "ask", rule: "person" });
      expect(await evaluate(wholeQuestion({ paths: ["secret/a.key"] }))).toMatchObject({ effect: "deny", rule: "never" });
    }),
  );

  it("ask in the order of a chain, and less strictly than a denial in deny-overrides", () =>
    withPolicy(`kind: chain\npolicies: [${asking()}, ${denying()}]\n`, async ({ evaluate }) => {
      expect(await evaluate(wholeQuestion({ paths: ["secret/a.key"] }))).toMatchObject({ effect: "ask" });
    }));
});

it("an engine elsewhere cannot ask a person, and says so", () => {
  for (const result of ["ask", { effect: "ask" }])
    expect(() => replyOfResult(result)).toThrow(/a mount must know beforehand that its policy asks a person/);
});
