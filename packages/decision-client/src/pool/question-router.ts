/**
 * Chooses the replica for each question, and weighs the answers. If a replica breaks, its questions go to another one, or wait
 * for one to return. A slow question is hedged: a second replica gets it, too. If replicas disagree, one replica of each
 * revision gets it. The router reports a passed deadline; the caller gives up by `release`.
 */
import { type Decision, DecisionError, type PolicyRevision } from "@sluice/decision-api";
import type { DecisionClientEvents } from "../decision-client-events.js";
import { Latency } from "./latency.js";
import { ofAllRevisions } from "./of-all-revisions.js";
import { type AskedQuestion, type Carrier, type Fate, PendingQuestion } from "./pending-question.js";
import { type Revisions, sameRevision } from "./revision-view.js";

const OVERLOAD_PAUSE_MS = 20;
/** Answers to one question that are malformed, or of a policy that is no longer in force. */
const MAX_USELESS = 8;
/** A question that one replica fails to evaluate goes to one more: its asker may provoke the failure, at each of them. */
const MAX_FAILURES = 2;
/** Hedges are limited to a share of all questions, so that general slowness does not double the load. */
const HEDGES_AT_ONCE = 256;
const HEDGES_AN_ANSWER = 0.1;

export interface Replicas {
  readonly revisions: Revisions;
  /** The less loaded of two that hold this revision. */
  pick(revision: PolicyRevision, except?: Carrier): Carrier | undefined;
}

export class QuestionRouter implements Fate {
  /** In the order they were asked. */
  readonly #open = new Set<AskedQuestion>();
  readonly #waiting = new Set<AskedQuestion>();
  readonly #latency = new Latency();
  #hedges = HEDGES_AT_ONCE;
  #sweep: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  /** When the next deadline is looked at, on the clock of performance.now(). */
  #expiresAtMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(
    private readonly replicas: Replicas,
    private readonly events: DecisionClientEvents,
  ) {}

  ask(asked: AskedQuestion): void {
    this.#open.add(asked);
    if (asked.deadlineMs < this.#expiresAtMs) this.#expireAt(asked.deadlineMs);
    this.#place(asked);
    this.#sweep ??= this.#sweepIn(this.#latency.lateMs);
  }

  /** The question is completed, or its caller gave up: cancels its attempts. */
  release(asked: AskedQuestion): void {
    this.#open.delete(asked);
    this.#waiting.delete(asked);
    for (const pending of asked.attempts) {
      pending.completed = true;
      pending.carrier.cancel(pending);
    }
    asked.attempts.length = 0;
  }

  /** A replica became ready, or has another policy now. */
  wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const asked of waiting) this.#place(asked);
    if (this.replicas.revisions.view.kind !== "split") return;
    // Questions under way go to a replica of every revision.
    for (const asked of this.#open) if (asked.attempts.length > 0) this.#place(asked);
  }

  /** The replica will not answer these questions: they go to another one. */
  orphaned(questions: readonly PendingQuestion[], why: "broken" | "overloaded"): void {
    const again = questions.filter((pending) => {
      pending.completed = true;
      pending.asked.forget(pending);
      return !pending.asked.completed && pending.asked.attempts.length === 0;
    });
    if (this.#closed || again.length === 0) return;
    for (const { asked } of again) this.#waiting.add(asked);
    this.events.replayed(again.length);
    // Not at once: the replica that dropped them is about to report that it is not ready.
    const replay = (): void => {
      for (const { asked } of again) if (this.#waiting.delete(asked)) this.#place(asked);
    };
    if (why === "broken") queueMicrotask(replay);
    else setTimeout(replay, OVERLOAD_PAUSE_MS);
  }

  answered(pending: PendingQuestion, decision: Decision): void {
    const { asked } = pending;
    this.#leave(pending);
    if (asked.completed) return;
    this.#hedges = Math.min(HEDGES_AT_ONCE, this.#hedges + HEDGES_AN_ANSWER);
    const given: Decision = pending.hedge ? { ...decision, source: "hedge" } : decision;
    const { view } = this.replicas.revisions;
    if (view.kind === "agreed" && sameRevision(view.revision, decision.revision)) {
      if (asked.question.awaitsPersonMs === undefined) this.#latency.observe(performance.now() - asked.askedMs);
      asked.resolve(given);
    } else if (this.replicas.revisions.outdated(decision.revision)) {
      this.#useless(asked, "every answer is of a policy that is not in force any more");
    } else {
      asked.answers ??= new Map();
      asked.answers.set(decision.revision.digest, given);
      this.#weigh(asked);
    }
  }

  failed(pending: PendingQuestion, error: DecisionError): void {
    const { asked } = pending;
    this.#leave(pending);
    if (asked.completed) return;
    if (error.code === "malformed") this.#askAnother(asked, pending.carrier, error);
    else if (error.code === "failed") this.#askOneMore(asked, pending.carrier, error);
    else asked.reject(error);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#sweep);
    clearTimeout(this.#expiry);
    const left = [...this.#open];
    this.#open.clear();
    this.#waiting.clear();
    for (const asked of left) asked.reject(new DecisionError("closed", "the connection to the decision service is closed"));
  }

  #leave(pending: PendingQuestion): void {
    pending.asked.forget(pending);
    pending.carrier.leaveIfIdle();
  }

  /** After a malformed answer, another replica of the same revision is asked. */
  #askAnother(asked: AskedQuestion, carrier: Carrier, error: DecisionError): void {
    const revision = carrier.capabilities?.revision;
    const other = revision === undefined || ++asked.useless >= MAX_USELESS ? undefined : this.replicas.pick(revision, carrier);
    if (other !== undefined) this.#put(asked, other, false);
    else if (asked.attempts.length === 0) asked.reject(error);
  }

  /**
   * A replica could not evaluate the question. The answer of another one of the same revision is as good, and no guess. A slow question may
   * be there already.
   */
  #askOneMore(asked: AskedQuestion, carrier: Carrier, error: DecisionError): void {
    const revision = carrier.capabilities?.revision;
    if (++asked.failures >= MAX_FAILURES || revision === undefined) return asked.reject(error);
    if (isAskedOf(asked, revision)) return;
    const other = this.replicas.pick(revision, carrier);
    if (other === undefined) asked.reject(error);
    else this.#put(asked, other, false);
  }

  #useless(asked: AskedQuestion, problem: string): void {
    if (++asked.useless >= MAX_USELESS) asked.reject(new DecisionError("malformed", problem));
    else if (asked.attempts.length === 0) this.#later(asked);
  }

  #later(asked: AskedQuestion): void {
    this.#waiting.add(asked);
    queueMicrotask(() => {
      if (this.#waiting.delete(asked)) this.#place(asked);
    });
  }

  /** While replicas disagree: the strictest answer holds with the obligations of all, once every revision has answered. */
  #weigh(asked: AskedQuestion): void {
    const { view } = this.replicas.revisions;
    const answers = asked.answers as Map<string, Decision>;
    const wanted = view.kind === "split" ? view.revisions : view.kind === "agreed" ? [view.revision] : [];
    if (wanted.every((revision) => answers.has(revision.digest))) {
      const heard = view.kind === "none" ? [...answers.values()] : wanted.map(({ digest }) => answers.get(digest) as Decision);
      asked.resolve(ofAllRevisions(heard));
    } else if (view.kind === "split") {
      this.#place(asked);
    } else if (asked.attempts.length === 0) {
      // A replica answered that has left, and the others agree now.
      this.#useless(asked, "every answer is of a policy that is not in force any more");
    }
  }

  #place(asked: AskedQuestion): void {
    const { view } = this.replicas.revisions;
    switch (view.kind) {
      case "none":
        if (asked.attempts.length === 0) this.#waiting.add(asked);
        return;
      case "agreed":
        if (asked.attempts.length === 0) this.#put(asked, this.replicas.pick(view.revision), false);
        return;
      case "split":
        for (const revision of view.revisions) {
          if (asked.answers?.has(revision.digest) === true || isAskedOf(asked, revision)) continue;
          this.#put(asked, this.replicas.pick(revision), false);
        }
    }
  }

  #put(asked: AskedQuestion, replica: Carrier | undefined, hedge: boolean): void {
    if (replica === undefined) {
      if (asked.attempts.length === 0) this.#waiting.add(asked);
      return;
    }
    const pending = new PendingQuestion(asked, replica, hedge, this);
    asked.attempts.push(pending);
    replica.ask(pending);
  }

  /** One timer for all deadlines: a timer for each question was a good part of a question's cost. */
  #expireAt(deadlineMs: number): void {
    clearTimeout(this.#expiry);
    this.#expiresAtMs = deadlineMs;
    this.#expiry = setTimeout(() => this.#expire(), Math.max(1, Math.ceil(deadlineMs - performance.now())));
  }

  #expire(): void {
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    this.#expiresAtMs = next;
    for (const asked of this.#open) {
      if (asked.deadlineMs <= now) asked.expire();
      else next = Math.min(next, asked.deadlineMs);
    }
    // A question that was asked meanwhile may have set it already.
    if (next < this.#expiresAtMs) this.#expireAt(next);
  }

  /** After reading what has arrived: an answer that waits for this very process is not late. */
  #sweepIn(ms: number): NodeJS.Timeout {
    return setTimeout(() => setImmediate(() => this.#hedgeLate()), ms);
  }

  /** One look at the oldest questions for all of them: a timer each would cost more than it brings. */
  #hedgeLate(): void {
    const { lateMs } = this.#latency;
    const { view } = this.replicas.revisions;
    const now = performance.now();
    this.#sweep = this.#open.size === 0 ? undefined : this.#sweepIn(lateMs / 2);
    if (view.kind !== "agreed") return;
    for (const asked of this.#open) {
      if (now - asked.askedMs < lateMs || this.#hedges < 1) return;
      const [first] = asked.attempts;
      if (asked.hedged || first === undefined || asked.question.awaitsPersonMs !== undefined) continue;
      const other = this.replicas.pick(view.revision, first.carrier);
      if (other === undefined) return;
      asked.hedged = true;
      this.#hedges--;
      this.events.hedged();
      this.#put(asked, other, true);
    }
  }
}

function isAskedOf(asked: AskedQuestion, revision: PolicyRevision): boolean {
  for (const { carrier } of asked.attempts) {
    const told = carrier.capabilities?.revision;
    if (told !== undefined && sameRevision(told, revision)) return true;
  }
  return false;
}
