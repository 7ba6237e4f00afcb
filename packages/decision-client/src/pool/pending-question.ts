/**
 * One question on its way: what is asked, until when, and the promise of whoever asked. It may be put to several replicas
 * at once, when one is slow or when they disagree: each time is a `PendingQuestion`, and all of them share its id.
 */
import {
  type Decision,
  type DecisionError,
  type PolicyCapabilities,
  questionToProto,
  type Question,
  type wire,
} from "@sluice/decision-api";

/** Whom a question is put to. */
export interface Carrier {
  /** Of the policy that it last told of. */
  readonly capabilities: PolicyCapabilities | undefined;
  ask(pending: PendingQuestion): void;
  /** The answer is not wanted any more. */
  cancel(pending: PendingQuestion): void;
  /** To be called after answers: one that is to be left is left with the last. */
  leaveIfIdle(): void;
}

export class AskedQuestion {
  private encoded: wire.Question | undefined;
  /** Each time that it is being asked just now: one, but for the late and the disputed. */
  readonly legs: PendingQuestion[] = [];
  /** Answers of replicas that disagree, by the digest of their policy. */
  answers: Map<string, Decision> | undefined;
  /** Answers that could not be used. */
  useless = 0;
  hedged = false;
  settled = false;
  /** What its deadline says where nothing came. */
  readonly expire: () => void;
  readonly askedMs = performance.now();

  constructor(
    readonly question: Question,
    /** On the clock of performance.now(). */
    readonly deadlineMs: number,
    private readonly settle: { resolve(decision: Decision): void; reject(error: DecisionError): void; expire(): void },
  ) {
    this.expire = settle.expire;
  }

  /** The same at each repetition, so it is made once. */
  wire(): wire.Question {
    this.encoded ??= questionToProto(this.question);
    return this.encoded;
  }

  remainingMs(): number {
    return Math.max(0, this.deadlineMs - performance.now());
  }

  resolve(decision: Decision): void {
    if (this.settled) return;
    this.settled = true;
    this.settle.resolve(decision);
  }

  reject(error: DecisionError): void {
    if (this.settled) return;
    this.settled = true;
    this.settle.reject(error);
  }

  forget(pending: PendingQuestion): void {
    const at = this.legs.indexOf(pending);
    if (at >= 0) this.legs.splice(at, 1);
  }
}

export interface Fate {
  answered(pending: PendingQuestion, decision: Decision): void;
  failed(pending: PendingQuestion, error: DecisionError): void;
}

/** A question as it is put to one replica. Settled once. */
export class PendingQuestion {
  settled = false;
  /** What its conversation calls it. */
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
    if (this.settled) return;
    this.settled = true;
    this.fate.answered(this, decision);
  }

  reject(error: DecisionError): void {
    if (this.settled) return;
    this.settled = true;
    this.fate.failed(this, error);
  }
}
