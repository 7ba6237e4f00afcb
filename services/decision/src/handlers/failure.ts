/** Why a question gets no decision, as the contract says it. */
import { DecisionError, wire } from "@sluice/decision-api";
import { DeskClosed } from "../people/person-desk.js";
import type { Logger } from "@sluice/runtime";
import type { DecisionMetrics } from "@sluice/runtime/metrics";

export interface Refusals {
  log: Logger;
  metrics: DecisionMetrics;
}

export type FailureCode = "INVALID_QUESTION" | "DEADLINE" | "INTERNAL" | "OVERLOADED";

export function failure(code: FailureCode, message: string, { metrics }: Refusals): wire.Failure {
  metrics.refused.inc({ code: code.toLowerCase() });
  return { code: wire.Failure_Code[code], message };
}

/** A question that is malformed is its asker's mistake; everything else that throws is ours. */
export function failureOf(error: unknown, refusals: Refusals): wire.Failure {
  if (error instanceof DecisionError && error.code === "malformed") return failure("INVALID_QUESTION", error.message, refusals);
  // Another replica may take it, or this one later.
  if (error instanceof DeskClosed) return failure("OVERLOADED", error.message, refusals);
  refusals.log.error({ err: error }, "evaluation failed");
  return failure("INTERNAL", "evaluation failed: see the log of the decision service", refusals);
}
