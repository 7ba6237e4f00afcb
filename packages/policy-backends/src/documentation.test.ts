// The examples of the documentation must check: an example with a mistake teaches the mistake.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readPolicyCases } from "./cases/policy-cases.js";
import { parseYaml, validateYaml } from "./document/yaml-document.js";
import { findKind, kindNames } from "./kinds.js";
import type { PolicyKind } from "./policy-kind.js";
import { PLAIN_FACTS, RESOURCE_FACTS, SUBJECT_FACTS } from "./rules/condition-facts.js";
import { loadPolicy } from "./rules/load-policy.js";
import { type JsonSchema, rulesJsonSchema } from "./rules/rules-json-schema.js";

const examplesOf = (page: string): string[] => {
  const text = readFileSync(fileURLToPath(new URL(`../../../docs/${page}`, import.meta.url)), "utf8");
  return [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] as string);
};
const examples = examplesOf("policy-backends.md");
function load(policy: string): ReturnType<typeof loadPolicy> {
  return loadPolicy(Buffer.from(policy), "docs", "docs", new Map([["approved.sha256", Buffer.alloc(0)]]));
}
const kindOf = (example: string): string | undefined => /^kind: (\S+)/.exec(example)?.[1];

it("shows an example of every kind, and each checks", () => {
  const kinds = examples.map(kindOf).filter((kind) => kind !== undefined);
  expect([...kinds].sort()).toEqual(
    kindNames()
      .filter((name) => name !== "rules")
      .sort(),
  );
  for (const example of examples) {
    const name = kindOf(example);
    if (name === undefined) continue;
    const parsed = parseYaml(example);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
    const kind = findKind(name) as PolicyKind;
    expect(validateYaml(parsed.result, kind.schema, kind.words)).toMatchObject({ ok: true });
  }
});

it("shows cases that can be read", () => {
  const cases = examples.filter((example) => example.startsWith("cases:"));
  expect(cases).toHaveLength(1);
  expect(readPolicyCases(cases[0] as string, "docs")).toHaveLength(4);
});

it("shows rules that check without a warning", () => {
  const rules = [...examples, ...examplesOf("rules.md")].filter((example) => /^version: 1$/m.test(example));
  expect(rules.length).toBeGreaterThan(2);
  expect(rules.flatMap((example) => load(example).warnings)).toEqual([]);
});

describe("the rule reference", () => {
  /** A policy in which a key of `place` has a value. */
  const policyWith = (place: string, key: string, value: unknown): object => {
    const head = { version: 1, default: "grant", digests: { approved: "approved.sha256" } };
    if (place === "policy") return { ...head, [key]: value };
    const rule = { name: "example", effect: key === "errno" ? "deny" : "mediate" };
    return { ...head, rules: [{ ...rule, [key]: value, ...(place === "rule" ? {} : { [place]: { [key]: value }, [key]: undefined }) }] };
  };
  const policy = rulesJsonSchema();
  const rule = policy.properties?.["rules"]?.items as JsonSchema;
  const places = {
    policy,
    rule,
    subject: rule.properties?.["subject"] as JsonSchema,
    obligations: rule.properties?.["obligations"] as JsonSchema,
  };

  it.each(Object.entries(places))("describes every key of %s, with an example that checks", (place, { properties = {} }) => {
    expect(Object.keys(properties)).not.toHaveLength(0);
    for (const [key, { description, examples: values = [] }] of Object.entries(properties)) {
      expect(description, key).toMatch(/\.$/);
      expect(values, key).not.toHaveLength(0);
      for (const value of values) load(JSON.stringify(policyWith(place, key, value)));
    }
  });

  it.each(Object.entries({ ...SUBJECT_FACTS, ...RESOURCE_FACTS, ...PLAIN_FACTS }))(
    "shows a condition with %s that checks",
    (_, { example }) => {
      load(JSON.stringify(policyWith("rule", "when", example)));
    },
  );

  it.each([
    "has(resource.xattr.tag)",
    "subject.groups.exists(g, g > 4)",
    "subject.groups.all(g, g > 4)",
    "subject.groups.exists_one(g, g == 4)",
  ])("names the macro in %s, which checks", (condition) => {
    load(JSON.stringify(policyWith("rule", "when", condition)));
  });
});
