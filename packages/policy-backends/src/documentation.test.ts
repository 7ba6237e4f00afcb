// The examples of the documentation are held to the schemas: an example that does not check teaches a mistake.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { readPolicyCases } from "./cases/policy-cases.js";
import { parseYaml, validateYaml } from "./document/yaml-document.js";
import { findKind, KIND_NAMES } from "./kinds.js";
import type { PolicyKind } from "./policy-kind.js";
import { loadPolicy } from "./rules/load-policy.js";

const text = readFileSync(fileURLToPath(new URL("../../../docs/policy-backends.md", import.meta.url)), "utf8");
const examples = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] as string);
const kindOf = (example: string): string | undefined => /^kind: (\S+)/.exec(example)?.[1];

it("shows an example of every kind, and each checks", () => {
  const kinds = examples.map(kindOf).filter((kind) => kind !== undefined);
  expect([...kinds].sort()).toEqual(KIND_NAMES.filter((name) => name !== "rules").sort());
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

it("shows rules that check", () => {
  const rules = examples.filter((example) => example.startsWith("version: 1"));
  expect(rules.length).toBeGreaterThan(0);
  for (const example of rules) loadPolicy(Buffer.from(example), "docs", "docs", new Map([["approved.sha256", Buffer.alloc(0)]]));
});
