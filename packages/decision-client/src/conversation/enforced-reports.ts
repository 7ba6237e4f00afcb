/**
 * Reports of decisions that the mount enforced without a question, for the consoles of its services. Each service that wants reports
 * gets each of them; one that does not read learns how many decisions it missed. While no service can be reached, the last
 * reports wait.
 */
import { type EnforcedReport, enforcedReportToProto } from "@sluice/decision-api";
import type { Told } from "./conversation.js";

const AGAIN_MS = 1_000;
const MAX_WAITING = 30;

interface Hearer {
  readonly ready: boolean;
  readonly wantsReports: boolean;
  /** False: it does not take it now. */
  tell(told: Told): boolean;
}

function sizeOf({ decisions, unnamed, missed }: EnforcedReport): number {
  let sum = missed;
  for (const { count } of decisions) sum += count;
  for (const { count } of unnamed) sum += count;
  return sum;
}

export class EnforcedReports {
  #waiting: EnforcedReport[] = [];
  /** Decisions that left `#waiting` without a reader. */
  #lost = 0;
  readonly #missed = new WeakMap<Hearer, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly replicas: () => Iterable<Hearer>) {}

  tell(report: EnforcedReport): void {
    this.#waiting.push(report);
    if (this.#waiting.length > MAX_WAITING) this.#lost += sizeOf(this.#waiting.shift() as EnforcedReport);
    this.#flush();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #flush(): void {
    const ready = [...this.replicas()].filter((replica) => replica.ready);
    if (ready.length === 0) {
      this.#timer ??= setInterval(() => this.#flush(), AGAIN_MS).unref();
      return;
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
    const reports = this.#waiting;
    const lost = this.#lost;
    this.#waiting = [];
    this.#lost = 0;
    for (const replica of ready) if (replica.wantsReports) this.#tellOne(replica, reports, lost);
  }

  #tellOne(replica: Hearer, reports: readonly EnforcedReport[], lost: number): void {
    let missed = lost + (this.#missed.get(replica) ?? 0);
    for (const report of reports) {
      const value = enforcedReportToProto({ ...report, missed: report.missed + missed });
      if (replica.tell({ $case: "enforced", value })) missed = 0;
      else missed += sizeOf(report);
    }
    this.#missed.set(replica, missed);
  }
}
