/**
 * Reports to the services how often cached answers were used, once a second, so that their logs hold every decision by
 * reference. A report is sent until a service confirms that it is in the log; after a long time without one it counts as lost.
 */
import { mintIds, type wire } from "@sluice/decision-api";
import type { HitCounts } from "../cache/hit-counts.js";

const EVERY_MS = 1_000;
const HITS_A_REPORT = 4_096;
const MAX_REPORTS = 64;
const AGAIN_MS = 3_000;

interface Sent {
  report: wire.HitReport;
  atMs: number;
}

export class HitReports {
  readonly #mint = mintIds("h");
  readonly #open = new Map<string, Sent>();
  readonly #timer: NodeJS.Timeout;

  constructor(
    private readonly counts: HitCounts,
    private readonly send: (report: wire.HitReport) => boolean,
    private readonly lost: (count: number) => void,
  ) {
    this.#timer = setInterval(() => this.flush(), EVERY_MS).unref();
  }

  taken(reportId: string): void {
    this.#open.delete(reportId);
  }

  flush(): void {
    const now = performance.now();
    for (const sent of this.#open.values()) if (now - sent.atMs > AGAIN_MS && this.send(sent.report)) sent.atMs = now;
    for (let hits = this.counts.take(HITS_A_REPORT); hits.length > 0; hits = this.counts.take(HITS_A_REPORT)) {
      const report = {
        reportId: this.#mint(),
        hits: hits.map(({ decisionId, count }) => ({ decisionId, count: BigInt(count) })),
      };
      // Not sent yet: due at once.
      this.#open.set(report.reportId, { report, atMs: this.send(report) ? now : Number.NEGATIVE_INFINITY });
      if (this.#open.size > MAX_REPORTS) this.#lose();
    }
  }

  close(): void {
    this.flush();
    clearInterval(this.#timer);
  }

  #lose(): void {
    const [oldest] = this.#open.values();
    if (oldest === undefined) return;
    this.#open.delete(oldest.report.reportId);
    this.lost(oldest.report.hits.reduce((sum, { count }) => sum + Number(count), 0));
  }
}
