/**
 * Finds conditions that are never true, and comparisons with values that a fact never has. Sees `&&` of comparisons with constants,
 * beside the rule's own keys; it misses others, and is never wrong.
 */
import { ALL_ACCESSES, ALL_KINDS, ALL_OPERATIONS, bytesOfText, didYouMean, namesOf, pathMatches, textOfBytes } from "@sluice/decision-api";
import type { Expr } from "../condition-check.js";
import { accessesOf, pathGlobs, type PermittingOrDenying } from "../judging-rule.js";
import { type Comparison, comparisonOf, type Value, valuesOf } from "./comparisons.js";
import { literalBeginning } from "./covering-glob.js";

export interface ConditionDoubt {
  exprId: bigint;
  message: string;
  remedy: string;
}

const DOMAINS: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ["resource.kind", ALL_KINDS],
  ["access", ALL_ACCESSES],
  ["operation", ALL_OPERATIONS],
]);
const KIND_WORDS = { bigint: "number", string: "text" } as const;

function partsOf(expr: Expr): readonly Expr[] {
  if (expr.exprKind.case !== "callExpr") return [];
  const { args, target } = expr.exprKind.value;
  return target === undefined ? args : [...args, target];
}

/** A comparison for equality with a value that the fact never has. */
function misfit({ exprId, fact, values, equality }: Comparison): ConditionDoubt | undefined {
  const kind = valuesOf(fact);
  const other = values.find((value) => kind !== undefined && typeof value !== kind);
  if (kind !== undefined && other !== undefined) {
    const is = `'${fact}' is a ${KIND_WORDS[kind]}`;
    const article = typeof other === "string" ? "the text" : "the number";
    return { exprId, message: `${is}, and never equals ${article} ${shown(other)}`, remedy: `compare it with a ${KIND_WORDS[kind]}` };
  }
  const domain = DOMAINS.get(fact);
  const unknown = equality ? values.find((value) => domain?.includes(String(value)) === false) : undefined;
  if (domain === undefined || unknown === undefined) return undefined;
  const near = didYouMean(String(unknown), domain);
  const remedy = near === undefined ? `use one of ${domain.join(", ")}` : `did you mean '${near}'?`;
  return { exprId, message: `'${fact}' is never ${shown(unknown)}`, remedy };
}

const shown = (value: Value): string => (typeof value === "string" ? `'${value.slice(0, 80)}'` : String(value));

function misfits(expr: Expr): ConditionDoubt[] {
  const comparison = comparisonOf(expr);
  const found = comparison && misfit(comparison);
  return found === undefined ? partsOf(expr).flatMap(misfits) : [found];
}

/** Comparisons that all hold if the expression is true. */
function conjuncts(expr: Expr, negated = false): Comparison[] {
  const comparison = comparisonOf(expr, negated);
  if (comparison !== undefined) return [comparison];
  const name = expr.exprKind.case === "callExpr" ? expr.exprKind.value.function : "";
  if (name === "!_") return partsOf(expr).flatMap((part) => conjuncts(part, !negated));
  return name === (negated ? "_||_" : "_&&_") ? partsOf(expr).flatMap((part) => conjuncts(part, negated)) : [];
}

/** The values that the rule's own keys leave to a fact. */
interface Left {
  key: string;
  domain?: readonly Value[];
  holds?: (value: Value) => boolean;
  /** One of them. */
  beginnings?: readonly string[];
}

function leftBy(rule: PermittingOrDenying, fact: string): Left | undefined {
  const ids = fact === "subject.uid" ? rule.subject?.uid : fact === "subject.gid" ? rule.subject?.gid : undefined;
  if (ids !== undefined) return { key: "subject", domain: ids.map(BigInt) };
  if (fact === "access") return { key: "access", domain: [...accessesOf(rule)] };
  const globs = fact === "resource.path" ? pathGlobs(rule) : undefined;
  if (globs === undefined || globs.length === 0) return undefined;
  return {
    key: "path",
    holds: (value) => globs.some((glob) => pathMatches(glob, namesOf(bytesOfText(String(value))))),
    beginnings: globs.map((glob) => textOfBytes(literalBeginning(glob).join("/"))),
  };
}

const fit = (one: string, other: string): boolean => one.startsWith(other) || other.startsWith(one);

function canHold(comparisons: readonly Comparison[], left: Left | undefined): boolean {
  const all = (value: Value): boolean => comparisons.every(({ holds }) => holds(value)) && left?.holds?.(value) !== false;
  const [{ fact }] = comparisons as [Comparison];
  const domain = left?.domain ?? comparisons.find(({ only }) => only)?.values ?? DOMAINS.get(fact);
  if (domain !== undefined) return domain.some(all);
  const values = comparisons.flatMap((each) => each.values);
  // No number of a file or a caller is negative. Between the values that are named one neighbour stands for all numbers.
  if (valuesOf(fact) === "bigint" && values.length > 0)
    return [0n, ...values.flatMap((value) => (typeof value === "bigint" ? [value - 1n, value, value + 1n] : []))].some(
      (value) => value >= 0n && all(value),
    );
  const wanted = comparisons.flatMap(({ beginning }) => (beginning === undefined ? [] : [beginning]));
  if (left?.beginnings?.some((one) => wanted.every((other) => fit(one, other))) === false) return false;
  return wanted.every((one) => wanted.every((other) => fit(one, other)));
}

const REMEDY = "correct it, or delete the rule";

function contradiction(expr: Expr, rule: PermittingOrDenying): ConditionDoubt | undefined {
  const byFact = new Map<string, Comparison[]>();
  for (const comparison of conjuncts(expr)) byFact.set(comparison.fact, [...(byFact.get(comparison.fact) ?? []), comparison]);
  for (const [fact, comparisons] of byFact) {
    const left = leftBy(rule, fact);
    if (canHold(comparisons, left)) continue;
    const alone = left === undefined || !canHold(comparisons, undefined);
    const all = alone ? "all of it" : `it and the rule's own '${left.key}'`;
    const exprId = (comparisons.at(-1) as Comparison).exprId;
    return { exprId, message: `it is never true: no value of '${fact}' fits ${all}`, remedy: REMEDY };
  }
  return undefined;
}

export function impossibleCondition(expr: Expr, rule: PermittingOrDenying): ConditionDoubt[] {
  const constant = expr.exprKind.case === "constExpr" ? expr.exprKind.value.constantKind : undefined;
  if (constant?.case === "boolValue") return constant.value ? [] : [{ exprId: expr.id, message: "it is never true", remedy: REMEDY }];
  const found = misfits(expr);
  if (found.length > 0) return found;
  const contradicts = contradiction(expr, rule);
  return contradicts === undefined ? [] : [contradicts];
}
