/**
 * Computes the revision in force from the last report of each reachable replica. Sequences order revisions. If a sequence is
 * missing (0), or equal for two policies, nobody can say which is newer.
 */
import type { PolicyRevision } from "@sluice/decision-api";

export type RevisionView =
  /** Every reachable replica has a policy that is known to be older than a reported one. */
  | { kind: "none" }
  | { kind: "agreed"; revision: PolicyRevision }
  /** Different policies without an order between them: all are asked, and the strictest answer holds. */
  | { kind: "split"; revisions: readonly PolicyRevision[] };

export function sameRevision(one: PolicyRevision, other: PolicyRevision): boolean {
  return one.digest === other.digest && one.sequence === other.sequence;
}

function sameView(one: RevisionView, other: RevisionView): boolean {
  if (one.kind === "agreed" && other.kind === "agreed") return sameRevision(one.revision, other.revision);
  if (one.kind !== "split" || other.kind !== "split") return one.kind === other.kind;
  return (
    one.revisions.length === other.revisions.length &&
    one.revisions.every((revision) => other.revisions.some((each) => sameRevision(revision, each)))
  );
}

export class Revisions {
  #newest = 0n;
  #view: RevisionView = { kind: "none" };

  get view(): RevisionView {
    return this.#view;
  }

  /** Older than a reported one: it must not be used any more. */
  outdated(revision: PolicyRevision): boolean {
    return revision.sequence !== 0n && revision.sequence < this.#newest;
  }

  told(revision: PolicyRevision): void {
    if (revision.sequence > this.#newest) this.#newest = revision.sequence;
  }

  /** Takes the revisions of all reachable replicas. True if the view has changed. */
  update(held: Iterable<PolicyRevision>): boolean {
    const current: PolicyRevision[] = [];
    for (const revision of held) {
      if (!this.outdated(revision) && !current.some((each) => sameRevision(each, revision))) current.push(revision);
    }
    const [first] = current;
    const next: RevisionView =
      first === undefined
        ? { kind: "none" }
        : current.length === 1
          ? { kind: "agreed", revision: first }
          : { kind: "split", revisions: current };
    if (sameView(next, this.#view)) return false;
    this.#view = next;
    return true;
  }
}
