/** The text of a policy file → rules that can be asked, or `PolicyError` with every mistake in it. */
import { createHash } from "node:crypto";
import { type Access, ALL_ACCESSES, factNeedsOf, type PolicyCapabilities } from "@sluice/decision-api";
import type { Policy } from "../backend.js";
import { DEFAULT_HEAD_BYTES } from "../document/head-bytes.js";
import { withHiddenNames } from "../hidden-names.js";
import { type ParsedYaml, parseYaml } from "../document/yaml-document.js";
import type { Engine, LooksAt } from "../policy-kind.js";
import { type CompiledRule, compileRules, hideRulesOf } from "./compile-rules.js";
import { type ListFiles, readDigestLists } from "./digest-lists.js";
import { evaluateRules, type RuleSet } from "./evaluate.js";
import { ExceptedGlobs } from "./excepted-globs.js";
import { impliedAccesses } from "./judging-rule.js";
import type { PolicyDocument } from "./policy-schema.js";
import { readParsedPolicy } from "./policy-source.js";
import { byPlace, PolicyError, type PolicyProblem } from "./problem.js";
import { RuleIndex } from "./rule-index.js";
import { understoodPart } from "./understood-part.js";

/** A policy made of bytes alone, without a file that could change. */
export interface LoadedRules {
  policy: Policy;
  warnings: readonly PolicyProblem[];
  ruleCount: number;
}

/** An access needs no question if nothing can come of it but a grant that obliges to nothing. */
function governedAccesses(document: PolicyDocument, rules: readonly CompiledRule[]): Set<Access> {
  const governs = (access: Access): boolean =>
    (document.default !== "grant" && impliedAccesses(document.default).has(access)) ||
    rules.some((rule) => (rule.effect !== "grant" || rule.obligations.length > 0) && rule.accesses.has(access));
  return new Set(ALL_ACCESSES.filter(governs));
}

function looksAtOf(document: PolicyDocument, { rules, ruleCount }: { rules: readonly CompiledRule[]; ruleCount: number }): LooksAt {
  const facts = (name: string): boolean => rules.some((rule) => rule.condition?.facts.names.has(name));
  return {
    accesses: governedAccesses(document, rules),
    needsGroups: facts("subject.groups"),
    needsExecutable: facts("subject.executable") || rules.some((rule) => rule.executables !== undefined || rule.effect === "ask"),
    needsCgroup: facts("subject.cgroup") || rules.some((rule) => rule.cgroups !== undefined),
    xattrs: [...new Set(rules.flatMap((rule) => [...(rule.condition?.facts.xattrs ?? [])]))],
    headBytes: facts("resource.head") ? (document.headBytes ?? DEFAULT_HEAD_BYTES) : 0,
    needsDigest: facts("resource.digest"),
    summary: `${ruleCount} ${ruleCount === 1 ? "rule" : "rules"}, default ${document.default}`,
    ...callerRulesOf(rules),
    ...(rules.some(({ effect }) => effect === "ask") ? { asks: true } : {}),
  };
}

function looksAtCaller(rule: CompiledRule): boolean {
  // The person is told who asks, and the answer is for them.
  if (rule.effect === "ask") return true;
  const inCondition = [...(rule.condition?.facts.names ?? [])].some((name) => name.startsWith("subject."));
  return inCondition || [rule.uids, rule.gids, rule.executables, rule.cgroups].some((test) => test !== undefined);
}

function callerRulesOf(rules: readonly CompiledRule[]): { callerRules?: readonly string[] } {
  const names = rules.filter(looksAtCaller).map(({ name }) => name);
  return names.length === 0 ? {} : { callerRules: names };
}

/** A document without mistakes, with warnings. Plain values: it goes from thread to thread. */
export interface CheckedRules {
  document: PolicyDocument;
  warnings: PolicyProblem[];
}

/** Throws `PolicyError`. */
export function checkRules(parsed: ParsedYaml, file: string): CheckedRules & { rules: CompiledRule[] } {
  const read = readParsedPolicy(parsed);
  if (read.document === undefined) {
    const inside = compileRules(understoodPart(parsed.value), parsed.locate, { part: true });
    throw new PolicyError(file, [...read.problems, ...inside.problems].sort(byPlace));
  }
  const { document } = read;
  const { rules, problems } = compileRules(document, read.locate);
  if (problems.some((problem) => problem.severity === "error")) throw new PolicyError(file, problems);
  return { document, rules, warnings: problems };
}

/** Compiles `rules` again if another thread checked them. Throws `PolicyError` if a list of digests cannot be read. */
export function rulesEngine({ document, warnings, rules }: CheckedRules & { rules?: CompiledRule[] }, files: ListFiles): Engine {
  const digests = readDigestLists(document, files);
  const compiled = rules ?? compileRules(document, () => ({ line: 1, column: 1 })).rules;
  const hides = hideRulesOf(document);
  const looksAt = looksAtOf(document, { rules: compiled, ruleCount: compiled.length + hides.length });
  const index = new RuleIndex(compiled);
  const excepted = new ExceptedGlobs(index.globs);
  const labels = [...new Set(compiled.flatMap((rule) => [...(rule.condition?.facts.labels ?? [])]))];
  const set: RuleSet = { rules: compiled, index, excepted, default: document.default, digests, labels, ...factNeedsOf(looksAt) };
  return {
    evaluate: (question) => evaluateRules(set, question),
    looksAt,
    hides,
    ruleCount: compiled.length + hides.length,
    warnings,
    dispose: () => Promise.resolve(),
  };
}

/** Throws `PolicyError`. `id` names the policy in decisions; `named` are the files that it may name. */
export function loadPolicy(bytes: Uint8Array, file: string, id: string, named: ReadonlyMap<string, Buffer> = new Map()): LoadedRules {
  const parsed = parseYaml(Buffer.from(bytes).toString("utf8"));
  if (!parsed.ok) throw new PolicyError(file, parsed.problems);
  const checked = checkRules(parsed.result, file);
  const problem: ListFiles["problem"] = (_path, message, remedy) =>
    new PolicyError(file, [{ severity: "error", line: 1, column: 1, message, remedy }]);
  const read = (name: string): Buffer => {
    const bytesOfIt = named.get(name);
    if (bytesOfIt === undefined) throw problem([], `it names '${name}', which is not there`, "write the policy without it");
    return bytesOfIt;
  };
  const engine = rulesEngine(checked, { problem, read });
  const revision = { sequence: BigInt(checked.document.revision ?? 0), digest: createHash("sha256").update(bytes).digest("hex") };
  const { looksAt, evaluate } = withHiddenNames(engine);
  const capabilities: PolicyCapabilities = { revision, policyId: id, unconditionalGrant: false, ...looksAt };
  return {
    policy: { id, revision, capabilities, evaluate },
    warnings: engine.warnings,
    ruleCount: engine.ruleCount,
  };
}
