/** The outage mode of a question: the strictest of the mount's and those of the rules that are known to decide it, or a part of it. */
import type { Decision, OutageEffect, Question } from "@sluice/decision-api";
import type { LastDecisions } from "./last-decisions.js";
import type { Before } from "./with-failure-mode.js";

const FROM_STRICT: readonly OutageEffect[] = ["deny", "stale", "mediate"];

interface Known {
  /** The mount's own mode. */
  readonly usual: OutageEffect;
  readonly before: Pick<Before, "recall">;
  readonly lastDecisions: LastDecisions;
}

/** `same`: the decision on this very question from before the outage. */
export function strictestMode(question: Question, same: Decision | undefined, known: Known): OutageEffect {
  const modes = [...(same === undefined ? modesOfOthers(question, known) : [modeOf(same, known)]), ...modesOfParts(question, known)];
  return FROM_STRICT.find((one) => modes.includes(one)) ?? "deny";
}

function modeOf({ onOutage }: Pick<Decision, "onOutage">, { usual }: Known): OutageEffect {
  if (onOutage === "stale-unless-deny") return usual === "deny" ? "deny" : "stale";
  return onOutage ?? usual;
}

/** No decision on the same question is known. Its rule may be that of another question about the same names. */
function modesOfOthers(question: Question, known: Known): OutageEffect[] {
  return [known.usual, ...known.lastDecisions.of(question).map(({ decision }) => modeOf(decision, known))];
}

/** An open for several accesses gets no more than an open for one of them that was decided before. */
function modesOfParts(question: Question, known: Known): OutageEffect[] {
  if (question.accesses.length < 2) return [];
  return question.accesses.flatMap((access) => {
    const part = { ...question, accesses: [access] };
    const recalled = known.before.recall(part);
    const decisions = recalled === undefined ? known.lastDecisions.of(part).map(({ decision }) => decision) : [recalled.decision];
    return decisions.map((decision) => modeOf(decision, known));
  });
}
