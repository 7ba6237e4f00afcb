/** One question on its way: what is asked, until when, and the promise of whoever asked. Settled once. */
import { type Decision, DecisionError, questionToProto, type Question, type wire } from "@sluice/decision-api";

export class PendingQuestion {
  private state: "open" | "settled" = "open";
  private encoded: wire.Question | undefined;

  constructor(
    readonly question: Question,
    /** On the clock of performance.now(). */
    readonly deadlineMs: number,
    private readonly settle: { resolve(decision: Decision): void; reject(error: DecisionError): void },
  ) {}

  get settled(): boolean {
    return this.state === "settled";
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
    if (this.state === "settled") return;
    this.state = "settled";
    this.settle.resolve(decision);
  }

  reject(error: DecisionError): void {
    if (this.state === "settled") return;
    this.state = "settled";
    this.settle.reject(error);
  }
}
