/**
 * One question under way: its content, its deadline and the caller's promise. If a replica is slow (a hedged request) or if
 * replicas disagree, the question goes to several at once: each attempt is a `PendingQuestion`, and all share one id.
 */
import {
  type Decision,
  type DecisionError,
  type PolicyCapabilities,
  questionToProto,
  type Question,
  type wire,
} from "@sluice/decision-api";

/** The replica that an attempt goes to. */
export interface Carrier {
  /** The capabilities of the policy that it reported last. */
  readonly capabilities: PolicyCapabilities | undefined;
  ask(pending: PendingQuestion): void;
  /** The answer is no longer wanted. */
  cancel(pending: PendingQuestion): void;
  /** Called after answers: a replica that is being removed ends with its last answer. */
  leaveIfIdle(): void;
}

export class AskedQuestion {
  private encoded: wire.Question | undefined;
  /** The attempts under way: one, unless the question is hedged or replicas disagree. */
  readonly attempts: PendingQuestion[] = [];
  /** Answers of replicas that disagree, by the digest of their policy. */
  answers: Map<string, Decision> | undefined;
  /** Answers that could not be used. */
  useless = 0;
  /** Replicas that could not evaluate it. */
  failures = 0;
  hedged = false;
  completed = false;
  /** Called when the deadline passes without an answer. */
  readonly expire: () => void;
  readonly askedMs = performance.now();

  constructor(
    readonly question: Question,
    /** On the clock of performance.now(). */
    readonly deadlineMs: number,
    private readonly outcome: { resolve(decision: Decision): void; reject(error: DecisionError): void; expire(): void },
  ) {
    this.expire = outcome.expire;
  }

  /** Every attempt sends the same message, so it is encoded once. */
  wire(): wire.Question {
    this.encoded ??= questionToProto(this.question);
    return this.encoded;
  }

  remainingMs(): number {
    return Math.max(0, this.deadlineMs - performance.now());
  }

  resolve(decision: Decision): void {
    if (this.completed) return;
    this.completed = true;
    this.outcome.resolve(decision);
  }

  reject(error: DecisionError): void {
    if (this.completed) return;
    this.completed = true;
    this.outcome.reject(error);
  }

  forget(pending: PendingQuestion): void {
    const at = this.attempts.indexOf(pending);
    if (at >= 0) this.attempts.splice(at, 1);
  }
}

export interface Fate {
  answered(pending: PendingQuestion, decision: Decision): void;
  failed(pending: PendingQuestion, error: DecisionError): void;
}

/** One attempt: the question as one replica gets it. Completed once. */
export class PendingQuestion {
  completed = false;
  /** Its number in the conversation. */
  number: number | undefined;

  constructor(
    readonly asked: AskedQuestion,
    readonly carrier: Carrier,
    readonly hedge: boolean,
    private readonly fate: Fate,
  ) {}

  get question(): Question {
    return this.asked.question;
  }

  wire(): wire.Question {
    return this.asked.wire();
  }

  remainingMs(): number {
    return this.asked.remainingMs();
  }

  resolve(decision: Decision): void {
    if (this.completed) return;
    this.completed = true;
    this.fate.answered(this, decision);
  }

  reject(error: DecisionError): void {
    if (this.completed) return;
    this.completed = true;
    this.fate.failed(this, error);
  }
}
