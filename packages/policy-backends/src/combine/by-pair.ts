/**
 * A question for several accesses, or of several names, as questions for one of each: policies that are tried one after
 * the other may each know of a part of it. The strictest answer holds, so that asking for more is never laxer.
 */
import { type Question, strictest } from "@sluice/decision-api";
import type { Verdict } from "../backend.js";
import { pairsOf } from "../two-questions.js";

export function byPair(question: Question, evaluate: (question: Question) => Verdict | Promise<Verdict>): Verdict | Promise<Verdict> {
  if (question.accesses.length === 1 && question.resource.paths.length === 1) return evaluate(question);
  const verdicts = pairsOf(question).map(({ access, path }) =>
    evaluate({ ...question, accesses: [access], resource: { ...question.resource, paths: [path] } }),
  );
  const several = question.resource.paths.length > 1;
  if (verdicts.every((verdict): verdict is Verdict => !(verdict instanceof Promise))) return whole(verdicts, several);
  return Promise.all(verdicts.map((verdict) => Promise.resolve(verdict))).then((settled) => whole(settled, several));
}

/** Of several names no subtree holds all. */
function whole(verdicts: readonly Verdict[], several: boolean): Verdict {
  const verdict = strictest(verdicts);
  return several && verdict.scope !== undefined ? { ...verdict, scope: { ...verdict.scope, subtree: undefined } } : verdict;
}
