/**
 * What each policy revision looks at, for the last few revisions heard of. A policy may change between a question and
 * its answer, and two replicas may be a revision apart: then an answer can come from a policy that looks at a fact which
 * the question does not carry, and such an answer is worth nothing.
 */
import type { Decision, PolicyCapabilities } from "@sluice/decision-api";
import { covers, type FactNeeds } from "./fact-needs.js";

const REMEMBERED = 16;

export type AnswerFitness = { kind: "fits" } | { kind: "lacks-facts"; needs: FactNeeds } | { kind: "unknown-revision" };

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

  /** May the answer be used for a question that carried these facts? Only a service's answer depends on them. */
  fitness(decision: Decision, carried: FactNeeds): AnswerFitness {
    if (decision.source !== "service" || decision.effect === "deny") return { kind: "fits" };
    const needs = this.#byDigest.get(decision.revision.digest);
    if (needs === undefined) return { kind: "unknown-revision" };
    return covers(carried, needs) ? { kind: "fits" } : { kind: "lacks-facts", needs };
  }
}
