/** One decision of those that replicas with different policies made on the same question: the strictest holds, with the obligations of all. */
import { type Decision, strictest, type UnsureAnswer } from "@sluice/decision-api";

/**
 * If a rule of one policy matches and none of another, an asker that tries policies in order has both to weigh: the next policy's answer and
 * that rule's.
 */
function mayMatchOf(decisions: readonly Decision[]): Decision["mayMatch"] {
  const rules: UnsureAnswer[] = [];
  let sure = true;
  for (const decision of decisions) {
    const { mayMatch, rule } = decision;
    if (mayMatch === undefined) return undefined;
    if (mayMatch !== "none") rules.push(mayMatch);
    else if (rule !== "default") rules.push(decision);
    if (mayMatch !== "none" || rule === "default") sure = false;
  }
  return sure || rules.length === 0 ? "none" : strictest(rules);
}

/** `decisions` is not empty. */
export function ofAllRevisions(decisions: readonly Decision[]): Decision {
  const { mayMatch: _, ...decision } = strictest(decisions);
  const mayMatch = mayMatchOf(decisions);
  return mayMatch === undefined ? decision : { ...decision, mayMatch };
}
