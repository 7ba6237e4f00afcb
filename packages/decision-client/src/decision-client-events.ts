/** A client's reports about itself: services log and count, this library does neither. Every method returns at once. */
import type { RevisionView } from "./pool/revision-view.js";

export interface DecisionClientEvents {
  connected(address: string): void;
  disconnected(address: string, reason: string): void;
  /** Questions that a broken stream left unanswered and that were put again, elsewhere or later. */
  replayed(count: number): void;
  /** A second answer to one question, or one to a question never asked. It is not used. */
  strayAnswer(address: string): void;
  malformedAnswer(address: string, problem: string): void;
  /** A question was put to a second replica, since the first was late. */
  hedged(): void;
  /** Which policy holds according to all replicas has changed: they agree, or they do not and the stricter answer holds. */
  revisions(view: RevisionView): void;
  /** Counts of kept answers that no service took. */
  hitsLost(count: number): void;
}

export const NO_EVENTS: DecisionClientEvents = {
  connected: () => undefined,
  disconnected: () => undefined,
  replayed: () => undefined,
  strayAnswer: () => undefined,
  malformedAnswer: () => undefined,
  hedged: () => undefined,
  revisions: () => undefined,
  hitsLost: () => undefined,
};
