/** The cost of many rules for one question. */
import { loadPolicy, type Policy } from "@sluice/policy-backends";
import type { Question } from "@sluice/decision-api";
import type { Figure } from "./figures.js";
import { questionFor } from "./questions.js";
import { compare, timed } from "./rounds.js";

const TURNS = 20_000;

function policyOf(globs: readonly string[]): Policy {
  const rules = globs.map((path, index) => ({ name: `r${index}`, path, effect: "mediate" }));
  return loadPolicy(Buffer.from(JSON.stringify({ version: 1, default: "grant", rules })), "bench", "bench").policy;
}

const prefixes = (count: number): string[] => Array.from({ length: count }, (_, index) => `dir-${index}/**`);
const questionsFor = (count: number): Question[] =>
  Array.from({ length: 1000 }, (_, turn) => questionFor(`dir-${(turn * 37) % count}/a/b/file-${turn}`));

export async function measureRules(): Promise<Figure[]> {
  const evaluating = (policy: Policy, questions: readonly Question[]) => (): number =>
    timed(TURNS, (turn) => void policy.evaluate(questions[turn % questions.length] as Question));
  const many = await compare(
    evaluating(policyOf(prefixes(10_000)), questionsFor(10_000)),
    evaluating(policyOf(prefixes(10)), questionsFor(10)),
    9,
  );
  const loose = Array.from({ length: 100 }, (_, index) => `**/*-${index}.pem`);
  const globs = await compare(evaluating(policyOf(loose), questionsFor(10)), evaluating(policyOf(prefixes(10)), questionsFor(10)), 9);
  return [
    {
      name: "10,000 rules of distinct prefixes, of 10",
      measured: `${many.one.toFixed(2)} µs and ${many.other.toFixed(2)} µs a question`,
      value: many.ratio,
      bound: { kind: "most", value: 2, unit: "times" },
    },
    { name: "100 unanchored globs", measured: `${globs.one.toFixed(2)} µs a question, ${globs.ratio.toFixed(1)} times ten prefixes` },
  ];
}

/** Microseconds of the evaluation that a service does for each question of `measure-wire.ts`. */
export function evaluationUs(text: string, question: Question): number {
  const { policy } = loadPolicy(Buffer.from(text), "bench", "bench");
  timed(TURNS, () => void policy.evaluate(question));
  return timed(TURNS, () => void policy.evaluate(question));
}
