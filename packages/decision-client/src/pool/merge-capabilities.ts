/** The facts that the policies of all replicas need together: while they differ, any replica may be the one that is asked. */
import { type PolicyCapabilities, uniteFactNeeds } from "@sluice/decision-api";

/** The identity comes from `last`, the needs from all. */
export function mergeCapabilities(last: PolicyCapabilities, others: readonly PolicyCapabilities[]): PolicyCapabilities {
  const all = [last, ...others.filter((other) => other.revision.digest !== last.revision.digest)];
  if (all.length === 1) return last;
  const refused = all.find((each) => each.refusedEdit !== undefined)?.refusedEdit;
  return {
    ...(refused === undefined ? {} : { refusedEdit: refused }),
    ...(last.summary === undefined ? {} : { summary: last.summary }),
    revision: last.revision,
    policyId: last.policyId,
    accesses: new Set(all.flatMap((each) => [...each.accesses])),
    ...uniteFactNeeds(all),
    unconditionalGrant: all.every((each) => each.unconditionalGrant),
    callerRules: [...new Set(all.flatMap((each) => each.callerRules ?? []))],
  };
}
