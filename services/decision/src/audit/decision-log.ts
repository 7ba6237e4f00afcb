/**
 * The decision log: one JSON event for each decision, in the shape of OPA's. A decision is logged when it is made, whether
 * its asker still waits or not. Off unless asked for: it names every file that is opened.
 */
import type { Decision, Question } from "@sluice/decision-api";
import { eventText } from "./event-text.js";
import { decisionEvent } from "./log-event.js";
import { type DecisionLogTarget, type LogPlan, planOf } from "./log-plan.js";
import { LogQueue, type QueueReports } from "./log-queue.js";
import { compileDrops, compileMasks } from "./redact.js";

export type { DecisionLogTarget } from "./log-plan.js";

/** How often a mount gave one cached decision again. */
export interface CacheHits {
  decisionId: string;
  count: bigint;
}

export interface DecisionLog {
  /** Nothing else may be written there. */
  readonly toStdout: boolean;
  /**
   * To be awaited before a decision, if there is anything to wait for: the log is full, and no decision may be made that it
   * does not take. Rejects if no room comes in time.
   */
  room(): Promise<void> | undefined;
  record(question: Question, decision: Decision, tookNs: bigint): void;
  /** Decisions given again, by reference. `reportId` repeats where a report came twice. False: it has no room for them now. */
  recordHits(mount: string, reportId: string, hits: readonly CacheHits[]): boolean;
  /** Resolves when everything recorded is written, or as much of it as could be within that time. */
  close(withinMs?: number): Promise<void>;
}

export const SILENT_REPORTS: QueueReports & { ruledOut(): void; warned(warning: Error): void } = {
  finished: () => undefined,
  failing: () => undefined,
  working: () => undefined,
  ruledOut: () => undefined,
  warned: () => undefined,
};
export type LogReports = typeof SILENT_REPORTS;

const OFF: DecisionLog = {
  toStdout: false,
  room: () => undefined,
  record: () => undefined,
  recordHits: () => true,
  close: () => Promise.resolve(),
};
const CLOSE_MS = 3_000;

class QueuedLog implements DecisionLog {
  private readonly queues: readonly LogQueue[];
  private readonly mask: ReturnType<typeof compileMasks>;
  private readonly isDropped: ReturnType<typeof compileDrops>;

  constructor(
    private readonly plan: LogPlan,
    private readonly labels: Readonly<Record<string, string>>,
    private readonly reports: LogReports,
  ) {
    this.queues = plan.sinks.map((sink) => new LogQueue(sink, plan, reports));
    this.mask = compileMasks(plan.masks);
    this.isDropped = compileDrops(plan.drops);
    for (const warning of plan.warnings) reports.warned(warning);
  }

  get toStdout(): boolean {
    return this.plan.sinks.some(({ name }) => name === "stdout");
  }

  room(): Promise<void> | undefined {
    const full = this.fullQueues();
    return full.length === 0 ? undefined : this.waitFor(full);
  }

  record(question: Question, decision: Decision, tookNs: bigint): void {
    const { effect, rule } = decision;
    if (this.isDropped({ effect, rule, paths: question.resource.paths, uid: question.subject.uid })) {
      this.reports.ruledOut();
      return;
    }
    const event = this.mask({ labels: { ...this.labels }, ...decisionEvent({ question, decision, tookNs, heads: this.plan.heads }) });
    this.push(decision.decisionId, event);
  }

  recordHits(mount: string, reportId: string, hits: readonly CacheHits[]): boolean {
    if (this.fullQueues().length > 0) return false;
    const timestamp = new Date().toISOString();
    for (const { decisionId, count } of hits) {
      const event = {
        decision_id: decisionId,
        cached: true,
        count: Number(count),
        report_id: reportId,
        labels: { ...this.labels },
        mount,
        timestamp,
      };
      this.push(`${reportId}/${decisionId}`, event);
    }
    return true;
  }

  async close(withinMs = CLOSE_MS): Promise<void> {
    await Promise.all(this.queues.map((queue) => queue.close(withinMs)));
  }

  /** Those that have to be waited for. */
  private fullQueues(): readonly LogQueue[] {
    return this.plan.blockMs === undefined ? [] : this.queues.filter(({ full }) => full);
  }

  private async waitFor(full: readonly LogQueue[]): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error("the decision log takes nothing, and nothing may be decided without it")),
        this.plan.blockMs,
      );
    });
    try {
      await Promise.race([Promise.all(full.map((queue) => queue.room())), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private push(key: string, event: Record<string, unknown>): void {
    const text = eventText(event);
    for (const queue of this.queues) queue.push({ text, key }, this.plan.blockMs !== undefined);
  }
}

/** Throws where the configuration does not check or a file cannot be opened. `labels` are read for each event. */
export function openDecisionLog(
  target: DecisionLogTarget,
  labels: Readonly<Record<string, string>>,
  reports: LogReports = SILENT_REPORTS,
): DecisionLog {
  const plan = planOf(target);
  return plan === undefined ? OFF : new QueuedLog(plan, labels, reports);
}
