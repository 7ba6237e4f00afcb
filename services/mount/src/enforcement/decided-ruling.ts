/** Rulings that remember the decision they came from, and the ruling of each effect. */
import type { Decision, IoTerms, Question } from "@sluice/decision-api";
import type { Ruling } from "@sluice/overlay";
import { Errno } from "@sluice/vfs";
import type { PolicyGateEvents } from "./gate-events.js";

export interface DecidedRuling extends Ruling {
  readonly decision: Decision | undefined;
  /** The question; absent for a cached answer, and if nobody answered. */
  readonly question?: Question;
  /** Of a cached answer: the layer of the object that it was recalled for. */
  readonly layer?: string | undefined;
  /** The machine failed, and nothing was decided. */
  readonly byMachine?: true;
  /** With `watch`. */
  readonly terms?: IoTerms;
}

export const UNASKED: DecidedRuling = { effect: "grant", errno: 0, decision: undefined };
export const DENIED: DecidedRuling = { effect: "deny", errno: Errno.EACCES, decision: undefined };

export function errnoOfDenial(decision: Decision | undefined): number {
  return decision !== undefined && decision.errno > 0 ? decision.errno : Errno.EACCES;
}

/**
 * Whether an answer is the mount's guess, and the rule that decided before forbids to guess so. The mount may not know of that decision any
 * more, if another server took it.
 */
export function isGuessAgainst({ onOutage }: Pick<Decision, "onOutage">, { source, effect }: Decision): boolean {
  return source === "outage" && effect === "mediate" && onOutage !== undefined && onOutage !== "mediate";
}

/**
 * Whether nobody could decide, so that the outage mode is the answer. A question that was refused or could not be evaluated is none of
 * these (decision-client, with-failure-mode.ts): it is denied in each mode, since a caller could make it so.
 */
export function isGuess(decision: Decision | undefined): boolean {
  return decision?.source === "outage" && decision.rule !== "refused";
}

/** The ruling of a decision. `asked`: the id of its question, and of a cached answer the layer that it was recalled for. */
export function rulingOf(
  enforced: Decision,
  asked: { id: string; layer?: string | undefined },
  events: Pick<PolicyGateEvents, "anomaly">,
): DecidedRuling {
  const { id, layer } = asked;
  switch (enforced.effect) {
    case "grant":
    case "mediate":
      return { effect: enforced.effect, errno: 0, decision: enforced, layer };
    case "ask":
    case "deny":
      return { effect: "deny", errno: errnoOfDenial(enforced), decision: enforced, layer };
    default:
      // The type says never, the wire might not.
      enforced.effect satisfies never;
      events.anomaly("answer has an unknown effect: denied", { question: id, effect: String(enforced.effect) });
      return DENIED;
  }
}
