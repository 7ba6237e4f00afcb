/**
 * The result if no decision can be had. A guess is a decision for the caller who asked and for nobody else: it is never
 * cached. A question that was refused, or that cannot be asked at all, is a denial in every mode: otherwise a caller could
 * choose the outage mode.
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
import type { Decide } from "./with-deadline.js";

export type OutageMode = { kind: "deny" } | { kind: "mediate" } | { kind: "stale"; staleForMs: number };

const NO_REVISION: PolicyRevision = { sequence: 0n, digest: "" };
const MAX_LAST_DECISIONS = 10_000;
/** For a rule with its own mode, if the mount sets none. */
const DEFAULT_STALE_MS = 60_000;

function keyOf({ operation, accesses, subject, resource }: Question): string {
  return [operation, accesses.join(), subject.uid, subject.gid, resource.layer, ...resource.paths].join("\0");
}

interface TimedDecision {
  decision: Decision;
  atMs: number;
}

/** The last decision for each question; the oldest is dropped first. */
class LastDecisions {
  private readonly byQuestion = new Map<string, TimedDecision>();

  record(question: Question, decision: Decision): void {
    const key = keyOf(question);
    this.byQuestion.delete(key);
    this.byQuestion.set(key, { decision, atMs: performance.now() });
    if (this.byQuestion.size > MAX_LAST_DECISIONS) this.byQuestion.delete(this.byQuestion.keys().next().value as string);
  }

  find(question: Question, forMs: number): Decision | undefined {
    const last = this.byQuestion.get(keyOf(question));
    return last !== undefined && performance.now() - last.atMs <= forMs ? last.decision : undefined;
  }
}

/** The decisions from the time before the outage. */
export interface Before {
  revision(): PolicyRevision | undefined;
  /** A cached answer whose scope covers the question, and how long no service has been able to confirm it. */
  recall(question: Question): { decision: Decision; unsureForMs: number } | undefined;
}

export function withFailureMode(ask: Decide, mode: OutageMode, before: Before): Decide {
  const mint = mintIds("o");
  const lastDecisions = new LastDecisions();

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
    if (error.code === "refused") return guess("deny", "refused", error.message);
    const recalled = before.recall(question);
    const staleForMs = mode.kind === "stale" ? mode.staleForMs : DEFAULT_STALE_MS;
    const last =
      recalled !== undefined && recalled.unsureForMs <= staleForMs ? recalled.decision : lastDecisions.find(question, staleForMs);
    const wanted = (recalled?.decision ?? lastDecisions.find(question, Number.POSITIVE_INFINITY))?.onOutage ?? mode.kind;
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
    try {
      const decision = await ask(question, signal);
      if (mode.kind === "stale" || decision.onOutage !== undefined) lastDecisions.record(question, decision);
      return decision;
    } catch (error) {
      if (!(error instanceof DecisionError) || error.code === "cancelled") throw error;
      // A guess is no answer of a person.
      if (question.awaitsPersonMs !== undefined) throw error;
      return without(question, error);
    }
  };
}
