/** Several answers as one: the strictest holds, with the obligations and the outage mode of all, and in the scope that all of them share. */
import { NO_SUBTREE } from "./convert-scope.js";
import { type CacheScope, type Effect, type Obligation, type RuleRates, type StatedOutage, STRICTNESS } from "./domain.js";
import { ANSWER_LIMITS } from "./limits.js";
import { mergeObligations, mergeRates } from "./obligations/merge-obligations.js";
import { stricterOutage } from "./stricter-outage.js";

/** The common part of a policy's answer and a service's decision. */
interface Answer {
  effect: Effect;
  rule: string;
  obligations: readonly Obligation[];
  rates?: readonly RuleRates[] | undefined;
  onOutage?: StatedOutage | undefined;
  scope?: CacheScope | undefined;
}

const union = <Name>(one: readonly Name[], other: readonly Name[]): readonly Name[] => [...new Set([...one, ...other])];

/** Both are of one question, so that of two subtrees one lies in the other. */
function commonSubtree(one: CacheScope, other: CacheScope): Pick<CacheScope, "subtree" | "except"> {
  const except = union(one.except, other.except);
  if (one.subtree === undefined || other.subtree === undefined || except.length > ANSWER_LIMITS.except) return NO_SUBTREE;
  return { subtree: one.subtree.length > other.subtree.length ? one.subtree : other.subtree, except };
}

function narrower(one: CacheScope, other: CacheScope): CacheScope {
  const { ttlMs: s } = one;
  const { ttlMs: t } = other;
  return {
    ...commonSubtree(one, other),
    subject: union(one.subject, other.subject),
    resource: union(one.resource, other.resource),
    xattrs: union(one.xattrs, other.xattrs),
    accesses: union(one.accesses, other.accesses),
    ttlMs: s === undefined ? t : t === undefined ? s : Math.min(s, t),
  };
}

/** A scope in which all of these answer the same. If one may not be cached: none. */
export function mergeScopes(answers: readonly Pick<Answer, "scope">[]): CacheScope | undefined {
  return answers.map(({ scope }) => scope).reduce((one, other) => one && other && narrower(one, other));
}

/** Of one answer itself. `answers` is not empty. */
export function strictest<Kind extends Answer>(answers: readonly Kind[]): Kind {
  const worst = answers.reduce((one, other) => (STRICTNESS[other.effect] > STRICTNESS[one.effect] ? other : one));
  if (answers.length === 1) return worst;
  return {
    ...worst,
    obligations: worst.effect === "deny" ? [] : mergeObligations(answers.map(({ obligations }) => obligations)),
    rates: worst.effect === "deny" ? undefined : mergeRates(answers, worst.rule),
    onOutage: answers.map(({ onOutage }) => onOutage).reduce(stricterOutage),
    scope: mergeScopes(answers),
  };
}
