/** What a candidate policy says differently from the one in force: counted, and logged one by one. */
import type { BackendEvents, ShadowDifference } from "@sluice/policy-backends";
import type { Refusals } from "../handlers/failure.js";

const MAX_PATH = 1_024;

function fields({ question, inForce, candidate }: ShadowDifference): Record<string, unknown> {
  return {
    questionId: question.id,
    mount: question.resource.mount,
    path: Buffer.from((question.resource.paths[0] ?? "").slice(0, MAX_PATH), "latin1").toString("utf8"),
    accesses: question.accesses,
    uid: question.subject.uid,
    inForce: { effect: inForce.effect, rule: inForce.rule },
    candidate: { effect: candidate.effect, rule: candidate.rule, reason: candidate.reason },
  };
}

export function shadowReports({ log, metrics }: Refusals): BackendEvents {
  return {
    shadowAgreed: () => metrics.shadowCompared.inc({ outcome: "same" }),
    shadowDiffered(difference) {
      metrics.shadowCompared.inc({ outcome: "different" });
      metrics.shadowDifferences.inc({ in_force: difference.inForce.effect, candidate: difference.candidate.effect });
      log.info(fields(difference), "the candidate policy decides differently");
    },
    shadowFailed(error) {
      metrics.shadowCompared.inc({ outcome: "failed" });
      log.warn({ err: error }, "the candidate policy does not answer");
    },
    shadowSkipped: () => metrics.shadowCompared.inc({ outcome: "skipped" }),
  };
}
