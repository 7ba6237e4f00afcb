/** Events of a client: services log and count them, this library does neither. Every method returns at once. */
import type { RevisionView } from "./pool/revision-view.js";

export interface DecisionClientEvents {
  connected(address: string): void;
  disconnected(address: string, reason: string): void;
  /** Told once for each reason, when attempts have failed for about a second. */
  unreachable(address: string, reason: string): void;
  /** Questions that a broken stream left unanswered, and that were asked again, elsewhere or later. */
  replayed(count: number): void;
  /** A second answer to one question, or an answer to a question that was never asked. It is not used. */
  strayAnswer(address: string): void;
  malformedAnswer(address: string, problem: string): void;
  /** A second replica got the question, since the first one was late. */
  hedged(): void;
  /** The policy in force according to all replicas has changed: they agree, or they disagree and the stricter answer holds. */
  revisions(view: RevisionView): void;
  /** Counts of cached answers that no service took. */
  hitsLost(count: number): void;
}

export const NO_EVENTS: DecisionClientEvents = {
  connected: () => undefined,
  disconnected: () => undefined,
  unreachable: () => undefined,
  replayed: () => undefined,
  strayAnswer: () => undefined,
  malformedAnswer: () => undefined,
  hedged: () => undefined,
  revisions: () => undefined,
  hitsLost: () => undefined,
};
