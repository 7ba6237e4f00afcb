import type { Question } from "@sluice/decision-api";
import { expect, it } from "vitest";
import type { Ruling } from "../backend.js";
import { sampleQuestion } from "../testing/standard-policy.js";
import { loadPolicy } from "./load-policy.js";

const evaluate = (rules: string, question: Question, fallback = "grant"): Ruling =>
  loadPolicy(Buffer.from(`version: 1\ndefault: ${fallback}\nrules:\n${rules}`), "p.yaml", "p.yaml").policy.evaluate(question) as Ruling;

it("rules with a missing fact keep their obligations, and those of the rule behind them", () => {
  const gone = { missing: [{ name: "resource.head", reason: "it was not sent" }] };
  const unsure = "when: \"resource.head == 'x'\"";
  const audited = `  - {name: a, ${unsure}, effect: mediate, obligations: {audit: each-io, readBytesPerSecond: 10}}\n`;
  const slow = "  - {name: b, effect: mediate, obligations: {readBytesPerSecond: 5}}\n";
  const fixed = "  - {name: c, effect: grant, obligations: {readOnly: true}}\n";
  const heldTo = (rules: string, fallback?: string): unknown => {
    const { effect, rule, obligations } = evaluate(rules, sampleQuestion(gone), fallback);
    return [effect, rule, ...obligations.map(({ name, value }) => `${name}=${value}`).sort()];
  };
  expect(heldTo(audited, "mediate")).toEqual(["mediate", "a", "audit=each-io", "readBytesPerSecond=10"]);
  expect(heldTo(audited + slow)).toEqual(["mediate", "a", "audit=each-io", "readBytesPerSecond=5"]);
  expect(heldTo(audited + fixed)).toEqual(["mediate", "a", "audit=each-io", "readBytesPerSecond=10", "readOnly=true"]);
  expect(heldTo(`  - {name: d, ${unsure}, effect: grant, obligations: {readOnly: true}}\n`, "mediate")).toEqual([
    "mediate",
    "default",
    "readOnly=true",
  ]);
  expect(heldTo(`${audited}  - {name: e, effect: deny}\n`)).toEqual(["deny", "e"]);
});
