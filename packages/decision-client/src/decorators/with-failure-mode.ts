/**
 * The result if no decision can be had. A guess is a decision for the caller who asked and for nobody else: it is never
 * cached. A question that was refused, that no service could evaluate, or that cannot be asked at all, is a denial in every
 * mode: otherwise a caller could choose the outage mode.
 */
import {
  type Decision,
  DecisionError,
  DENIAL_ERRNO,
  mintIds,
  type PolicyRevision,
  type Question,
  questionExcess,
} from "@sluice/decision-api";
import { LastDecisions } from "./last-decisions.js";
import { strictestMode } from "./outage-modes.js";
import type { Decide } from "./with-deadline.js";

export type OutageMode = { kind: "deny" } | { kind: "mediate" } | { kind: "stale"; staleForMs: number };

const NO_REVISION: PolicyRevision = { sequence: 0n, digest: "" };
/** For a rule with its own mode, if the mount sets none. */
const DEFAULT_STALE_MS = 60_000;

/** The decisions from the time before the outage. */
export interface Before {
  revision(): PolicyRevision | undefined;
  /** Changes with the policy in force: a decision from before the change is not repeated. */
  epoch(): number;
  nowMs(): number;
  /** A cached answer whose scope covers the question, and for how long it may have been wrong: nobody could confirm it, or its time is over. */
  recall(question: Question): { decision: Decision; unsureForMs: number } | undefined;
}

export function withFailureMode(ask: Decide, mode: OutageMode, before: Before): Decide {
  const mint = mintIds("o");
  const lastDecisions = new LastDecisions(() => before.nowMs());

  function guess(effect: "deny" | "mediate", rule: string, reason: string): Decision {
    return {
      effect,
      errno: effect === "deny" ? DENIAL_ERRNO.EACCES : 0,
      decisionId: mint(),
      policyId: "on-outage",
      rule,
      revision: before.revision() ?? NO_REVISION,
      reason,
      obligations: [],
      source: "outage",
    };
  }

  /** The rule that decided this question before may have another mode than the mount. */
  function without(question: Question, error: DecisionError): Decision {
    if (error.code === "refused" || error.code === "failed") return guess("deny", "refused", error.message);
    const recalled = before.recall(question);
    const staleForMs = mode.kind === "stale" ? mode.staleForMs : DEFAULT_STALE_MS;
    const known = lastDecisions.find(question, before.epoch());
    const fresh = known !== undefined && before.nowMs() - known.atMs <= staleForMs ? known.decision : undefined;
    const last = recalled !== undefined && recalled.unsureForMs <= staleForMs ? recalled.decision : fresh;
    const same = recalled?.decision ?? known?.decision;
    const wanted = strictestMode(question, same, { usual: mode.kind, before, lastDecisions });
    switch (wanted) {
      case "deny":
      case "mediate":
        return guess(wanted, wanted, error.message);
      case "stale":
        return last === undefined ? guess("deny", "stale", error.message) : { ...last, source: "stale" };
    }
  }

  return async (question, signal) => {
    const excess = questionExcess(question);
    if (excess !== undefined) return guess("deny", "refused", excess);
    const epoch = before.epoch();
    try {
      const decision = await ask(question, signal);
      // A cached answer is found in the cache.
      const isNew = decision.source !== "cache";
      if (isNew && (mode.kind === "stale" || decision.onOutage !== undefined)) lastDecisions.record(question, decision, epoch);
      return decision;
    } catch (error) {
      if (!(error instanceof DecisionError) || error.code === "cancelled") throw error;
      // A guess is no answer of a person.
      if (question.awaitsPersonMs !== undefined) throw error;
      return without(question, error);
    }
  };
}
