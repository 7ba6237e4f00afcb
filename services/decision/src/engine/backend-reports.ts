/**
 * Reports of backends besides answers, for log and metrics: answers of a candidate policy that differ from the policy in
 * force, and whether a source of policies can be had.
 */
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

export function backendReports({ log, metrics }: Refusals): BackendEvents {
  /** Sources that could not be had when they were last heard of. */
  const away = new Set<string>();
  return {
    sourceReached(source) {
      metrics.sourceReachable.set({ source }, 1);
      if (away.delete(source)) log.info({ source }, "the source of the policy answers again");
    },
    warned: (warning) => log.warn(warning.message),
    sourceReset(source, inForce) {
      metrics.sourceResets.inc({ source });
      log.error(
        { source, inForce: inForce.toString() },
        `the source of the policy was recreated and counts from 1: nothing of it takes effect until it is past revision ${inForce}; publish with --above ${inForce}`,
      );
    },
    sourceUnreachable(source, error) {
      metrics.sourceReachable.set({ source }, 0);
      if (away.has(source)) return;
      away.add(source);
      log.warn({ source, err: error }, "the source of the policy cannot be had: the last one that it gave stays in force");
    },
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
