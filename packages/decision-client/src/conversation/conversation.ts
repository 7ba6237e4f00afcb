/**
 * The interface between a replica and its conversation (a Session stream, or unary calls).
 * A conversation ends once, by `ended`; the replica then gives its unanswered questions to another one.
 */
import type { PolicyCapabilities, wire } from "@sluice/decision-api";
import type { PendingQuestion } from "../pool/pending-question.js";

export interface ConversationListener {
  /** The first message, and each change of policy. */
  policy(capabilities: PolicyCapabilities): void;
  /** The service accepts no further questions. */
  goAway(): void;
  /** A question got a well-formed answer. */
  answered(): void;
  /** Earlier answers must not be used any more, in these directories or, if there are none, anywhere. */
  invalidated(directories: readonly string[]): void;
  /** A report of hits is in the log. */
  hitsTaken(reportId: string): void;
  /** The service cannot answer just now: ask again. */
  returned(pending: PendingQuestion): void;
  ended(end: ConversationEnd): void;
  stray(): void;
  malformed(problem: string): void;
}

export type ConversationEnd = { kind: "no-sessions" } | { kind: "broken"; reason: string };

/** Reports that nothing is decided by: the layers and open files of the mount now, and decisions that it enforced without a question. */
export type Told = Extract<NonNullable<wire.SessionRequest["message"]>, { $case: "report" | "enforced" }>;

export interface Conversation {
  readonly inFlight: number;
  ask(pending: PendingQuestion): void;
  /** The answer is no longer needed. */
  cancel(pending: PendingQuestion): void;
  /** Reports hits of cached answers. False if the conversation has no way to. */
  report(report: wire.HitReport): boolean;
  /** Tells whether the service wants `tell`. */
  readonly wantsReports: boolean;
  /** Somebody has looked at the service's console since the call before. */
  takeLook(): boolean;
  /** A report for the service's console. False if the service does not take it now. */
  tell(told: Told): boolean;
  /** Returns every unanswered question, and forgets it here. */
  takeUnanswered(): PendingQuestion[];
  /** Ends gracefully if nothing is in flight. */
  close(): void;
}
