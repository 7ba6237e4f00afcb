/** Turns questions into decisions: the policy in force answers, the engine gives the answer its id, revision and audit line. */
import { type Decision, mintIds, type PendingPerson, type PolicyCapabilities, type Question, WANTS_MAY_MATCH } from "@sluice/decision-api";
import type { Policy, PolicyBackend, Refresh, Ruling } from "@sluice/policy-backends";
import type { Logger, Span, Tracing } from "@sluice/runtime";
import type { DecisionMetrics } from "@sluice/runtime/metrics";
import type { DecisionLog, CacheHits } from "../audit/decision-log.js";
import { answeredRuling } from "../people/answered-ruling.js";
import { type AnsweredAsk, DeskClosed, type PersonDesk, type Waited } from "../people/person-desk.js";

export interface EngineParts {
  backend: PolicyBackend;
  log: Logger;
  metrics: DecisionMetrics;
  decisionLog: DecisionLog;
  /** Of questions that are traced by who asks them. */
  tracing?: Tracing | undefined;
  people: PersonDesk;
}

/** A question under evaluation. */
interface Evaluating {
  ruling: Ruling;
  startedNs: bigint;
  /** Aborts when nobody wants the answer any more. */
  signal: AbortSignal | undefined;
}

/** The outcome of a ruling that asked a person. */
interface Outcome {
  answered?: AnsweredAsk;
  pending?: PendingPerson;
}

interface Counted {
  evaluations: { inc(): void };
  duration: { observe(seconds: number): void };
}
const MAX_SERIES = 4_096;
const MAX_UNCOUNTED = 64;

function concluded(span: Span, { effect, rule, decisionId, policyId }: Decision): void {
  span.add({ "sluice.effect": effect, "sluice.rule": rule, "sluice.decision_id": decisionId, "sluice.policy": policyId });
  span.end();
}

function addOutcome(decision: Decision, { answered, pending }: Outcome): void {
  decision.pending = pending;
  if (answered === undefined) return;
  decision.answered = { by: answered.by, scope: answered.scope };
  if (answered.allowed) decision.byPerson = true;
}

export class DecisionEngine {
  private readonly mint = mintIds("d");
  /** The failure that listeners heard of. */
  private toldFailure: string | undefined;
  private readonly series = new Map<string, Counted>();
  /** Answers that the metrics have not had yet. */
  private readonly uncounted: { backend: string; ruling: Ruling; seconds: number }[] = [];
  private readonly listeners = new Set<(capabilities: PolicyCapabilities) => void>();

  constructor(private readonly parts: EngineParts) {
    this.tellRevision();
    parts.backend.onHint?.(() => this.refresh());
    parts.metrics.beforeTold.add(() => this.countAll());
  }

  get backendName(): string {
    return this.parts.backend.name;
  }

  /** The facts that the policy in force looks at, and the fault of a newer one that is not in force. */
  capabilities(): PolicyCapabilities {
    const { policy, failure } = this.parts.backend;
    return failure === undefined ? policy.capabilities : { ...policy.capabilities, refusedEdit: failure.message };
  }

  /** Why the newest edit of the policy is not in force; undefined if it is. */
  get failure(): Error | undefined {
    return this.parts.backend.failure;
  }

  /** Called on each change, before any question is answered by the new policy. Returns how to stop listening. */
  onPolicyChange(listener: (capabilities: PolicyCapabilities) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /**
   * To be called before each batch of questions. An edit must hold for the very next open, and a notification of the
   * file system comes when it comes: so the file is looked at (one stat) each time, and the watch only serves those who
   * do not ask.
   */
  refresh(): void {
    const { backend, metrics } = this.parts;
    const refresh = backend.refresh();
    const failure = backend.failure?.message;
    const news = refresh.state === "changed" || failure !== this.toldFailure;
    if (news) metrics.reloadFailing.set(failure === undefined ? 0 : 1);
    this.toldFailure = failure;
    this.tell(refresh);
    if (news) for (const listener of this.listeners) listener(this.capabilities());
  }

  private tell(refresh: Refresh): void {
    const { backend, log, metrics } = this.parts;
    switch (refresh.state) {
      case "unchanged":
        return;
      case "failed":
        metrics.reloadFailures.inc();
        log.error(
          { err: refresh.error, inForce: backend.policy.revision.digest },
          "policy edit does not check: the revision before stays in force",
        );
        return;
      case "changed":
        log.info({ policy: backend.policy.id, ...this.revisionLabels() }, "policy changed");
        this.tellRevision();
        this.parts.people.policyChanged();
    }
  }

  /** Rejects or throws only where the policy's evaluation does, or where the log must have the decision and has no room. */
  decide(question: Question, signal?: AbortSignal): Decision | Promise<Decision> {
    if (question.traceparent !== undefined && this.parts.tracing !== undefined) return this.traced(question, this.parts.tracing, signal);
    return this.decideNow(question, signal);
  }

  private traced(question: Question, tracing: Tracing, signal: AbortSignal | undefined): Decision | Promise<Decision> {
    const span = tracing.child("evaluation", question.traceparent, { "sluice.backend": this.parts.backend.name });
    if (span === undefined) return this.decideNow(question, signal);
    try {
      // A backend that asks another service asks as a part of this.
      const decision = this.decideNow({ ...question, traceparent: span.traceparent }, signal);
      if (decision instanceof Promise)
        decision.then(
          (made) => concluded(span, made),
          (error: unknown) => span.end(String(error)),
        );
      else concluded(span, decision);
      return decision;
    } catch (error) {
      span.end(String(error));
      throw error;
    }
  }

  private decideNow(question: Question, signal: AbortSignal | undefined): Decision | Promise<Decision> {
    const room = this.parts.decisionLog.room();
    return room === undefined ? this.evaluate(question, signal) : room.then(() => this.decideNow(question, signal));
  }

  private evaluate(question: Question, signal: AbortSignal | undefined): Decision | Promise<Decision> {
    // The policy is held over the evaluation, so that one answer never mixes two revisions.
    const { policy } = this.parts.backend;
    const startedNs = process.hrtime.bigint();
    const ruling = policy.evaluate(question);
    if (!(ruling instanceof Promise)) return this.weigh(policy, question, { ruling, startedNs, signal });
    return this.whenLate(policy, question, { ruling, startedNs, signal });
  }

  /** A policy that was swapped while it was thinking has nothing to say any more: the one in force is asked instead. */
  private async whenLate(
    policy: Policy,
    question: Question,
    late: Omit<Evaluating, "ruling"> & { ruling: Promise<Ruling> },
  ): Promise<Decision> {
    try {
      const ruling = await late.ruling;
      if (policy === this.parts.backend.policy) return await this.weigh(policy, question, { ...late, ruling });
    } catch (error) {
      if (policy === this.parts.backend.policy) throw error;
    }
    return this.evaluate(question, late.signal);
  }

  /** A person's answer takes the place of "ask", and of nothing else. */
  private weigh(policy: Policy, question: Question, evaluating: Evaluating): Decision | Promise<Decision> {
    const { ruling, signal } = evaluating;
    if (ruling.effect !== "ask") return this.conclude(policy, question, evaluating);
    const { people } = this.parts;
    const asked = { question, rule: ruling.rule, policyId: policy.id };
    const standing = people.standing(asked);
    if (standing !== undefined) return this.answered(policy, question, evaluating, standing);
    if (question.awaitsPersonMs !== undefined) {
      const waited = people.wait(asked, signal);
      return waited instanceof Promise
        ? waited.then((outcome) => this.afterWait(policy, question, evaluating, outcome))
        : this.answered(policy, question, evaluating, waited);
    }
    if (question.mayAsk !== true) return this.conclude(policy, question, evaluating);
    const put = people.put(asked);
    if (!("id" in put)) return this.answered(policy, question, evaluating, put);
    return this.conclude(policy, question, evaluating, { pending: { askId: put.id, timeoutMs: people.timeoutMs } });
  }

  private afterWait(policy: Policy, question: Question, evaluating: Evaluating, waited: Waited): Decision | Promise<Decision> {
    const { signal } = evaluating;
    if (signal?.aborted === true) throw new DeskClosed("nobody waits for the answer any more");
    // An answer to the question of another policy is none.
    if (waited === "again" || policy !== this.parts.backend.policy) return this.evaluate(question, signal);
    return this.answered(policy, question, evaluating, waited);
  }

  private answered(policy: Policy, question: Question, evaluating: Evaluating, answered: AnsweredAsk): Decision {
    this.parts.metrics.personAnswers.inc({ answer: answered.scope });
    return this.conclude(policy, question, { ...evaluating, ruling: answeredRuling(evaluating.ruling, answered) }, { answered });
  }

  /** Cached decisions that a mount gave again: logged and counted here, where the decisions are. False: not now. */
  recordHits(mount: string, reportId: string, hits: readonly CacheHits[]): boolean {
    if (!this.parts.decisionLog.recordHits(mount, reportId, hits)) return false;
    let sum = 0;
    for (const { count } of hits) sum += Number(count);
    this.parts.metrics.cacheHits.inc(sum);
    return true;
  }

  private conclude(policy: Policy, question: Question, { ruling, startedNs }: Evaluating, outcome?: Outcome): Decision {
    const { decisionLog } = this.parts;
    const tookNs = process.hrtime.bigint() - startedNs;
    this.count(ruling, Number(tookNs) / 1e9);
    // One by one: a spread costs more than the evaluation.
    const { effect, errno, rule, reason, obligations, rates, scope, onOutage, mayMatch } = ruling;
    const { id: policyId, revision } = policy;
    const decisionId = this.mint();
    const decision: Decision = {
      effect,
      errno,
      rule,
      reason,
      obligations,
      rates,
      // A person answers for each open.
      scope: effect === "ask" ? undefined : scope,
      onOutage: effect === "ask" ? "deny" : onOutage,
      decisionId,
      policyId,
      revision,
      source: "service",
    };
    if (outcome !== undefined) addOutcome(decision, outcome);
    if (question.lookedFor?.includes(WANTS_MAY_MATCH) === true) decision.mayMatch = mayMatch ?? "none";
    decisionLog.record(question, decision, tookNs);
    return decision;
  }

  /** Many together, or when somebody looks: counting one costs more than evaluating it. */
  private count(ruling: Ruling, seconds: number): void {
    this.uncounted.push({ backend: this.parts.backend.name, ruling, seconds });
    if (this.uncounted.length >= MAX_UNCOUNTED) this.countAll();
  }

  private countAll(): void {
    for (const { backend, ruling, seconds } of this.uncounted.splice(0)) {
      const { duration, evaluations } = this.counted(backend, ruling);
      duration.observe(seconds);
      evaluations.inc();
    }
  }

  /** Finding a metric by its labels costs more than an evaluation does. */
  private counted(backend: string, { effect, rule }: Ruling): Counted {
    const { metrics } = this.parts;
    const key = `${backend}\0${effect}\0${rule}`;
    let counted = this.series.get(key);
    if (counted === undefined) {
      // Rules of an engine elsewhere may be without number.
      if (this.series.size >= MAX_SERIES) this.series.clear();
      counted = {
        evaluations: metrics.evaluations.labels({ backend, effect, rule }),
        duration: metrics.evaluationDuration.labels({ backend }),
      };
      this.series.set(key, counted);
    }
    return counted;
  }

  private revisionLabels(): { sequence: string; digest: string } {
    const { sequence, digest } = this.parts.backend.policy.revision;
    return { sequence: sequence.toString(), digest };
  }

  private tellRevision(): void {
    const { backend, metrics } = this.parts;
    metrics.revisionInfo.reset();
    metrics.revisionInfo.set({ backend: backend.name, policy: backend.policy.id, ...this.revisionLabels() }, 1);
  }
}
