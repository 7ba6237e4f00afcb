/**
 * A question for several accesses, or of several names, as questions for one of each: policies that are tried one after
 * the other may each know of a part of it. The strictest answer holds, so that asking for more is never laxer.
 */
import { NO_SUBTREE, type Question, strictest } from "@sluice/decision-api";
import type { Ruling } from "../backend.js";
import { pairsOf } from "../two-questions.js";

export function byPair(question: Question, evaluate: (question: Question) => Ruling | Promise<Ruling>): Ruling | Promise<Ruling> {
  if (question.accesses.length === 1 && question.resource.paths.length === 1) return evaluate(question);
  const rulings = pairsOf(question).map(({ access, path }) =>
    evaluate({ ...question, accesses: [access], resource: { ...question.resource, paths: [path] } }),
  );
  const several = question.resource.paths.length > 1;
  if (rulings.every((ruling): ruling is Ruling => !(ruling instanceof Promise))) return whole(rulings, several);
  return Promise.all(rulings.map((ruling) => Promise.resolve(ruling))).then((resolved) => whole(resolved, several));
}

/** Of several names no subtree holds all. */
function whole(rulings: readonly Ruling[], several: boolean): Ruling {
  const ruling = strictest(rulings);
  return several && ruling.scope !== undefined ? { ...ruling, scope: { ...ruling.scope, ...NO_SUBTREE } } : ruling;
}
