/** The bytes of a policy file → a policy that can be asked, or `PolicyError` with every mistake in it. */
import { createHash } from "node:crypto";
import { type Access, ALL_ACCESSES, type PolicyCapabilities, type PolicyRevision } from "@sluice/decision-api";
import type { Policy } from "../backend.js";
import { type CompiledRule, compileRules, impliedAccesses } from "./compile-rules.js";
import { evaluateRules, type RuleSet } from "./evaluate.js";
import type { PolicyDocument } from "./policy-schema.js";
import { readPolicy } from "./policy-source.js";
import { PolicyError, type PolicyProblem } from "./problem.js";
import { RuleIndex } from "./rule-index.js";

export interface LoadedPolicy {
  policy: Policy;
  warnings: readonly PolicyProblem[];
  ruleCount: number;
}

/** Where nothing stricter than a grant can come of an access, it needs no question. */
function governedAccesses(document: PolicyDocument, rules: readonly CompiledRule[]): Set<Access> {
  const governs = (access: Access): boolean =>
    (document.default !== "grant" && impliedAccesses(document.default).has(access)) ||
    rules.some((rule) => rule.effect !== "grant" && rule.accesses.has(access));
  return new Set(ALL_ACCESSES.filter(governs));
}

function capabilitiesOf(
  document: PolicyDocument,
  rules: readonly CompiledRule[],
  identity: { id: string; revision: PolicyRevision },
): PolicyCapabilities {
  const facts = (name: string): boolean => rules.some((rule) => rule.condition?.facts.names.has(name));
  return {
    revision: identity.revision,
    policyId: identity.id,
    accesses: governedAccesses(document, rules),
    needsGroups: facts("subject.groups"),
    needsExecutable: facts("subject.executable") || rules.some((rule) => rule.executables !== undefined),
    needsCgroup: facts("subject.cgroup") || rules.some((rule) => rule.cgroups !== undefined),
    xattrs: [...new Set(rules.flatMap((rule) => [...(rule.condition?.facts.xattrs ?? [])]))],
    unconditionalGrant: false,
    ...callerRulesOf(rules),
  };
}

function looksAtCaller(rule: CompiledRule): boolean {
  const inCondition = [...(rule.condition?.facts.names ?? [])].some((name) => name.startsWith("subject."));
  return inCondition || [rule.uids, rule.gids, rule.executables, rule.cgroups].some((test) => test !== undefined);
}

function callerRulesOf(rules: readonly CompiledRule[]): { callerRules?: readonly string[] } {
  const names = rules.filter(looksAtCaller).map(({ name }) => name);
  return names.length === 0 ? {} : { callerRules: names };
}

/** Throws `PolicyError`. `id` names the policy in decisions. */
export function loadPolicy(bytes: Uint8Array, file: string, id: string): LoadedPolicy {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new PolicyError(file, [{ severity: "error", line: 1, column: 1, message: "it is not UTF-8", remedy: "save it as UTF-8" }], {
      cause,
    });
  }
  const read = readPolicy(text);
  if (read.document === undefined) throw new PolicyError(file, read.problems);
  const { document } = read;
  const { rules, problems } = compileRules(document, read.locate);
  if (problems.some((problem) => problem.severity === "error")) throw new PolicyError(file, problems);
  const revision = { sequence: BigInt(document.revision ?? 0), digest: createHash("sha256").update(bytes).digest("hex") };
  const capabilities = capabilitiesOf(document, rules, { id, revision });
  const index = new RuleIndex(rules.map((rule) => rule.paths));
  const set: RuleSet = { rules, index, default: document.default, xattrs: capabilities.xattrs };
  return {
    policy: { id, revision, capabilities, evaluate: (question) => evaluateRules(set, question) },
    warnings: problems,
    ruleCount: rules.length,
  };
}
