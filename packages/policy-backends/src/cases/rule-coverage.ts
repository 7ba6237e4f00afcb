/** The rules of a policy with their lines, and the rules that decide a case: for the coverage of cases. */
import { readFileSync } from "node:fs";
import type { Policy } from "../backend.js";
import { parseYaml } from "../document/yaml-document.js";
import { PolicyError } from "../rules/problem.js";
import { policyLocation } from "../source/policy-location.js";
import { pairsOf } from "../two-questions.js";
import { questionOf } from "./described-question.js";
import type { PolicyCase } from "./policy-cases.js";

export interface ListedRule {
  name: string;
  line: number;
}

/** `file`: a policy that checks, or a directory with one. Throws `PolicyError` if it is of a kind that names no rules. */
export function rulesOfFile(file: string): { policyFile: string; rules: readonly ListedRule[] } {
  const policyFile = policyLocation(file).locate();
  const parsed = parseYaml(readFileSync(policyFile, "utf8"));
  if (!parsed.ok) throw new PolicyError(policyFile, parsed.problems);
  const { value, locate } = parsed.result;
  const { kind = "rules", rules = [] } = value as { kind?: string; rules?: readonly { name: string }[] };
  if (kind !== "rules") {
    const message = `the rules of a policy of kind '${kind}' are not known`;
    const remedy = "leave --coverage out, or test a policy of kind rules";
    throw new PolicyError(policyFile, [{ severity: "error", ...locate(["kind"]), message, remedy }]);
  }
  return { policyFile, rules: rules.map(({ name }, index) => ({ name, line: locate(["rules", index]).line })) };
}

/** Each access under each name by itself: of a question for several, the answer names the strictest rule alone. */
export async function rulesReached(policy: Policy, each: PolicyCase): Promise<readonly string[]> {
  const question = questionOf(each, `case-${each.line}`, policy.capabilities);
  const reached: string[] = [];
  for (const { access, path } of pairsOf(question)) {
    const { rule } = await policy.evaluate({ ...question, accesses: [access], resource: { ...question.resource, paths: [path] } });
    reached.push(rule);
  }
  return reached;
}
