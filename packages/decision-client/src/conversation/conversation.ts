/**
 * The contract of a replica and its way of talking (a Session stream, or unary calls).
 * A conversation ends once, by `ended`; the replica then gives its unanswered questions elsewhere.
 */
import type { PolicyCapabilities, wire } from "@sluice/decision-api";
import type { PendingQuestion } from "../pool/pending-question.js";

export interface ConversationListener {
  /** The first word, and each change of policy. */
  policy(capabilities: PolicyCapabilities): void;
  /** No further questions, please. */
  goAway(): void;
  /** A question was answered as it should be. */
  answered(): void;
  /** Earlier answers are not to be used any more, in these directories or, if there are none, anywhere. */
  invalidated(directories: readonly string[]): void;
  /** A report of hits is in the log. */
  hitsTaken(reportId: string): void;
  /** Cannot be answered just now: to be asked again. */
  returned(pending: PendingQuestion): void;
  ended(end: ConversationEnd): void;
  stray(): void;
  malformed(problem: string): void;
}

export type ConversationEnd = { kind: "no-sessions" } | { kind: "broken"; reason: string };

export interface Conversation {
  readonly inFlight: number;
  ask(pending: PendingQuestion): void;
  /** The answer is not wanted any more. */
  cancel(pending: PendingQuestion): void;
  /** Tells of hits of cached answers. False if it has no way to. */
  report(report: wire.HitReport): boolean;
  /** Whether somebody there can look at `tell`. */
  readonly wantsReports: boolean;
  /** The mount's layers and open files just now. */
  tell(report: wire.MountReport): void;
  /** Everything not answered yet, forgotten here. */
  takeUnanswered(): PendingQuestion[];
  /** Politely if nothing is in flight. */
  close(): void;
}
