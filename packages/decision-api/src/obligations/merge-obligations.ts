/**
 * The obligations of several answers, which all hold together. Of two numbers the smaller one holds. Of two shares of a rate the stricter one
 * holds: the more opens share a rate, the less each of them gets.
 */
import type { Obligation, RuleRates } from "../domain.js";
import { ANSWER_LIMITS } from "../limits.js";

export const RATE_SHARE = "ratePer";
/** The shares of a rate, from lax to strict. */
export const RATE_SHARES = ["handle", "subject", "rule"] as const;
/** The share of a rate that names none. */
export const USUAL_RATE_SHARE = "subject";
const RATES: ReadonlySet<string> = new Set(["readBytesPerSecond", "writeBytesPerSecond"]);

export function isRate({ name }: Obligation): boolean {
  return RATES.has(name);
}

/** `lists`: the obligations of each answer. Two values that cannot be compared both stay, and the mount denies the one that it cannot read. */
export function mergeObligations(lists: readonly (readonly Obligation[])[]): readonly Obligation[] {
  const merged: Obligation[] = [];
  for (const { name, value } of lists.flat()) {
    const at = merged.findIndex((present) => present.name === name && isComparable(name, value, present.value));
    if (at < 0) merged.push({ name, value });
    else if (Number(value) < Number(merged[at]?.value)) merged[at] = { name, value };
  }
  const share = merged.findIndex(({ name }) => name === RATE_SHARE);
  if (share >= 0) merged[share] = { name: RATE_SHARE, value: lists.flatMap((list) => shareOf(list) ?? []).reduce(stricterShare) };
  return merged;
}

/** One answer, or the part that one rule has in it. */
interface RatedAnswer {
  readonly rule: string;
  readonly obligations: readonly Obligation[];
  readonly rates?: readonly RuleRates[] | undefined;
}

/**
 * The rates of several answers by their rules, since other opens under the same rule share them. Undefined if `rule`, which the whole
 * answer names, is the only one that sets rates, or if too many do: then the merged obligations hold under `rule`.
 */
export function mergeRates(answers: readonly RatedAnswer[], rule: string): readonly RuleRates[] | undefined {
  const byRule = new Map<string, readonly Obligation[]>();
  for (const rates of answers.flatMap(ratesOf)) {
    byRule.set(rates.rule, mergeObligations([byRule.get(rates.rule) ?? [], rates.obligations]));
  }
  if (byRule.size === 0 || byRule.size > ANSWER_LIMITS.rates || (byRule.size === 1 && byRule.has(rule))) return undefined;
  return [...byRule].map(([name, obligations]) => ({ rule: name, obligations }));
}

function ratesOf({ rule, obligations, rates }: RatedAnswer): readonly RuleRates[] {
  if (rates !== undefined) return rates;
  if (!obligations.some(isRate)) return [];
  return [{ rule, obligations: obligations.filter((each) => each.name === RATE_SHARE || isRate(each)) }];
}

function isComparable(name: string, one: string, other: string): boolean {
  return name === RATE_SHARE || one === other || (Number.isFinite(Number(one)) && Number.isFinite(Number(other)));
}

/** Undefined: it has no rate. */
function shareOf(list: readonly Obligation[]): string | undefined {
  const named = list.filter(({ name }) => name === RATE_SHARE).map(({ value }) => value);
  if (named.length > 0) return named.reduce(stricterShare);
  return list.some(isRate) ? USUAL_RATE_SHARE : undefined;
}

/** An unknown share is the strictest, so that the mount sees it and denies it. */
function stricterShare(one: string, other: string): string {
  const [first, second] = [one, other].map((share) => (RATE_SHARES as readonly string[]).indexOf(share)) as [number, number];
  if (first < 0) return one;
  return second < 0 || second > first ? other : one;
}
