import { expect, it } from "vitest";
import { loadPolicy } from "../rules/load-policy.js";
import { PolicyError, problemLine } from "../rules/problem.js";

function mistakes(text: string): string[] {
  try {
    loadPolicy(Buffer.from(text), "p.yaml", "p.yaml");
    return [];
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return error.problems.filter(({ severity }) => severity === "error").map((problem) => problemLine("p", problem));
  }
}

it.each([
  ['version: "1"\ndefault: deny\n', "p:1:10: 'version' is none of 1: write it without quotes"],
  ["version: 1\ndefault: deny\nrules: none\n", "p:3:8: 'rules' is not a list: write a list of rules"],
  [
    "version: 1\ndefault: deny\nrules:\n  - deny\n",
    "p:4:5: an entry of 'rules' is not a mapping: write a rule as { name: …, path: …, effect: … }",
  ],
  [
    "version: 1\ndefault: deny\nrules:\n  - {name: a, effect: block}\n",
    "p:4:23: rule 'a': 'effect' is none of grant, mediate, deny, hide, ask: write effect: grant, mediate, deny, hide or ask",
  ],
  [
    "version: 1\ndefault: deny\nrules:\n  - {name: a, path: *.pem, effect: deny}\n",
    "p:4:21: '*.pem' is an alias of YAML, and no anchor has this name: put a text that begins with * in quotes: \"*.pem\"",
  ],
  ["version: 1\ndefault: deny\nrules:\n  - {name: a, path: [a, **/*.pem], effect: deny}\n", "p:4:25: '**/*.pem' is an alias of YAML"],
  [
    "version: 1\ndefault: deny\nrules:\n  - {name: a, path: [a, !b/*], effect: deny}\n",
    "p:4:25: this is not YAML: Unresolved tag: !b/*: put the text in quotes",
  ],
  [
    "version: 1\ndefault: deny\nrules:\n  - name: a\n    path: {a,b}/**\n    effect: deny\n",
    "p:5:16: this is not YAML: Unexpected scalar at node end: put the text in quotes",
  ],
  [
    "version: 1\ndefault: deny\nrules:\n  - name: a\n    when: resource.path == 'a: b'\n    effect: deny\n",
    "p:5:11: this is not YAML: Nested mappings are not allowed in compact mappings: put the text in quotes",
  ],
])("the mistake of a newcomer to YAML in %j is named with its place and the remedy", (text, expected) => {
  expect(mistakes(text).join("\n")).toContain(expected);
});

it.each([
  [`rules: [${"{name: a, effect: deny},".repeat(10_001)}]`, "p:3:8: 'rules' has more than 10000 entries: write at most 10000"],
  [
    `rules: [{name: a, when: ${"x".repeat(4_097)}, effect: deny}]`,
    "rule 'a': 'when' has more than 4096 characters: write a CEL expression",
  ],
  [
    "rules: [{name: a, subject: { uid: 4294967296 }, effect: deny}]",
    "rule 'a': an entry of 'uid' is greater than 4294967295: write a number",
  ],
])("a value beyond its limit is named with the limit", (rules, expected) => {
  expect(mistakes(`version: 1\ndefault: deny\n${rules}\n`).join("\n")).toContain(expected);
});
