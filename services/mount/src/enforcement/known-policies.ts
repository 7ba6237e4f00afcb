/**
 * What each policy revision looks at, for the last few revisions heard of. A policy may change between a question and its
 * answer, and two replicas may be a revision apart: then the policy that answered looked at facts which the question does
 * not carry. It counts them as missing, which is safe, and stricter than it need be: so the question is put once more.
 */
import { coversFactNeeds, type Decision, type FactNeeds, type PolicyCapabilities } from "@sluice/decision-api";

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

  /** What the policy that answered looks at and the question did not carry; undefined where nothing is known to lack. */
  lacking(decision: Decision, carried: FactNeeds): FactNeeds | undefined {
    if (decision.source !== "service" && decision.source !== "hedge") return undefined;
    const needs = this.#byDigest.get(decision.revision.digest);
    return needs === undefined || coversFactNeeds(carried, needs) ? undefined : needs;
  }
}
