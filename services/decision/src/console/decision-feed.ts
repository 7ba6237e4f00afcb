/**
 * Decisions as they are made, for watchers; and the last few, for a watcher that comes later. While nobody watches, a
 * decision costs a slot in a ring. A watcher that is slow misses decisions, and is told how many.
 */
import type { Decision, Question } from "@sluice/decision-api";
import type { DecisionLog } from "../audit/decision-log.js";

export interface SeenDecision {
  at: string;
  mount: string;
  path: string;
  operation: string;
  access: string;
  uid: number;
  pid: number;
  effect: string;
  errno: number;
  rule: string;
  reason: string;
  tookUs: number;
  revision: string;
}
export interface Batch {
  decisions: SeenDecision[];
  /** Made meanwhile, and not among them. */
  missed: number;
}

const MAX_DECISIONS = 200;
const MAX_BATCH = 200;
const FLUSH_MS = 250;
const MAX_TEXT = 1_024;

interface Raw {
  question: Question;
  decision: Decision;
  tookNs: bigint;
  atMs: number;
}

function seen({ question, decision, tookNs, atMs }: Raw): SeenDecision {
  const { subject, resource } = question;
  return {
    at: new Date(atMs).toISOString(),
    mount: resource.mount,
    path: Buffer.from((resource.paths[0] ?? "").slice(0, MAX_TEXT), "latin1").toString("utf8"),
    operation: question.operation,
    access: question.accesses.join(", "),
    uid: subject.uid,
    pid: subject.pid,
    effect: decision.effect,
    errno: decision.errno,
    rule: decision.rule.slice(0, MAX_TEXT),
    reason: decision.reason.slice(0, MAX_TEXT),
    tookUs: Number(tookNs / 1_000n),
    revision: `${decision.revision.sequence} ${decision.revision.digest.slice(0, 12)}`,
  };
}

export class DecisionFeed {
  private readonly ring: Raw[] = [];
  private next = 0;
  private made = 0;
  private readonly watchers = new Set<(batch: Batch) => void>();
  private timer: NodeJS.Timeout | undefined;
  private told = 0;

  /** The same log, and the feed hears what it records. */
  beside(log: DecisionLog): DecisionLog {
    return {
      get toStdout() {
        return log.toStdout;
      },
      room: () => log.room(),
      record: (question, decision, tookNs) => {
        this.record({ question, decision, tookNs, atMs: Date.now() });
        log.record(question, decision, tookNs);
      },
      recordHits: (mount, reportId, hits) => log.recordHits(mount, reportId, hits),
      close: () => log.close(),
    };
  }

  /** Calls at once with the last decisions, then four times a second if there are any. Returns how to stop. */
  watch(watcher: (batch: Batch) => void): () => void {
    watcher({ decisions: this.last(MAX_DECISIONS), missed: 0 });
    if (this.watchers.size === 0) this.told = this.made;
    this.watchers.add(watcher);
    this.timer ??= setInterval(() => this.flush(), FLUSH_MS).unref();
    return () => {
      this.watchers.delete(watcher);
      if (this.watchers.size > 0) return;
      clearInterval(this.timer);
      this.timer = undefined;
    };
  }

  private record(raw: Raw): void {
    this.ring[this.next] = raw;
    this.next = (this.next + 1) % MAX_DECISIONS;
    this.made++;
  }

  private last(count: number): SeenDecision[] {
    const inOrder = this.ring.length < MAX_DECISIONS ? this.ring : [...this.ring.slice(this.next), ...this.ring.slice(0, this.next)];
    return (count === 0 ? [] : inOrder.slice(-count)).map(seen);
  }

  private flush(): void {
    const fresh = this.made - this.told;
    if (fresh === 0) return;
    this.told = this.made;
    const decisions = this.last(Math.min(fresh, MAX_BATCH));
    const batch = { decisions, missed: fresh - decisions.length };
    for (const watcher of this.watchers) watcher(batch);
  }
}
