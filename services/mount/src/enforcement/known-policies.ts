/**
 * The facts that the last few policy revisions look at, and the accesses that they govern. A policy may change between a question and its
 * answer, and two replicas may be a revision apart: then the answering policy looked at facts that the question does not carry. It counts
 * them as missing, which is safe but too strict, so the gate asks again.
 */
import { type Access, ALL_ACCESSES, coversFactNeeds, type Decision, type FactNeeds, type PolicyCapabilities } from "@sluice/decision-api";

const REMEMBERED = 16;

export class KnownPolicies {
  readonly #byDigest = new Map<string, PolicyCapabilities>();

  learn(capabilities: PolicyCapabilities): void {
    this.#byDigest.delete(capabilities.revision.digest);
    this.#byDigest.set(capabilities.revision.digest, capabilities);
    for (const oldest of this.#byDigest.keys()) {
      if (this.#byDigest.size <= REMEMBERED) break;
      this.#byDigest.delete(oldest);
    }
  }

  /** The facts that the answering policy looks at and the question did not carry; undefined if none is known to be missing. */
  lacking(decision: Decision, carried: FactNeeds): FactNeeds | undefined {
    if (decision.source !== "service" && decision.source !== "hedge") return undefined;
    const needs = this.#byDigest.get(decision.revision.digest);
    return needs === undefined || coversFactNeeds(carried, needs) ? undefined : needs;
  }
}

/** A table that is rebuilt at each policy change, so that a look into it costs nothing. */
export type GovernedAccesses = Readonly<Record<Access, boolean>>;

/** The accesses that the policy is asked about. Until the decision service answers, all of them are governed: the outage mode decides. */
export function governedAccesses(capabilities: PolicyCapabilities | undefined): GovernedAccesses {
  const governed = (access: Access): boolean =>
    capabilities === undefined || (!capabilities.unconditionalGrant && capabilities.accesses.has(access));
  return Object.fromEntries(ALL_ACCESSES.map((access) => [access, governed(access)])) as Record<Access, boolean>;
}
