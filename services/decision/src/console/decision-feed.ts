/**
 * Decisions for watchers: those of this service as they are made, and those that mounts enforced without a question as they report them;
 * and the last few, for a watcher that comes later. While nobody watches, a decision costs a slot in a ring. Denials have a
 * ring of their own, so that no flood of grants hides one. A watcher learns how many decisions it was not shown.
 */
import type { Decision, EnforcedDecisions, EnforcedReport, Question, UnnamedDecisions } from "@sluice/decision-api";
import type { DecisionLog } from "../audit/decision-log.js";
import type { ActivityHistory, CountedDecisions } from "./activity-history.js";

/** Equal decisions: `count` of them. */
export interface SeenDecision {
  at: string;
  mount: string;
  count: number;
  effect: string;
  rule: string;
  /** The origin of the answer: "service", or as the mount reports it: "cache", "stale", "outage". */
  source: string;
  /** Null, as everything below, for decisions beyond the rate at which a mount names them. */
  path: string | null;
  operation: string | null;
  access: string | null;
  uid: number | null;
  pid: number | null;
  /** Null, too, if the mount did not read it. */
  program: string | null;
  errno: number | null;
  reason: string | null;
  decision: string | null;
  /** In the service; null for a decision of the mount. */
  tookUs: number | null;
  revision: string | null;
}
export interface Batch {
  decisions: SeenDecision[];
  /** Made meanwhile, and not among them. */
  missed: number;
}

/** Of each ring, and of a batch. */
const MAX_DECISIONS = 200;
const FLUSH_MS = 250;
const MAX_TEXT = 1_024;

type Raw =
  | { kind: "made"; question: Question; decision: Decision; tookNs: bigint; atMs: number }
  | { kind: "enforced"; mount: string; decisions: EnforcedDecisions; atMs: number }
  | { kind: "unnamed"; mount: string; decisions: UnnamedDecisions; atMs: number };

const effectOf = (raw: Raw): string => (raw.kind === "made" ? raw.decision : raw.decisions).effect;
const countOf = (raw: Raw): number => (raw.kind === "made" ? 1 : raw.decisions.count);
const text = (bytes: string): string => Buffer.from(bytes.slice(0, MAX_TEXT), "latin1").toString("utf8");
const programText = (program: string | undefined): string | null => (program === undefined || program === "" ? null : text(program));

function seenMade({ question, decision, tookNs, atMs }: Raw & { kind: "made" }): SeenDecision {
  const { subject, resource, program = subject.executable } = question;
  return {
    at: new Date(atMs).toISOString(),
    mount: resource.mount,
    count: 1,
    effect: decision.effect,
    rule: decision.rule.slice(0, MAX_TEXT),
    source: "service",
    path: text(resource.paths[0] ?? ""),
    operation: question.operation,
    access: question.accesses.join(", "),
    uid: subject.uid,
    pid: subject.pid,
    program: programText(program),
    errno: decision.errno,
    reason: decision.reason.slice(0, MAX_TEXT),
    decision: decision.decisionId,
    tookUs: Number(tookNs / 1_000n),
    revision: `${decision.revision.sequence} ${decision.revision.digest.slice(0, 12)}`,
  };
}

const UNNAMED = {
  path: null,
  operation: null,
  access: null,
  uid: null,
  pid: null,
  program: null,
  errno: null,
  reason: null,
  decision: null,
};

function seen(raw: Raw): SeenDecision {
  if (raw.kind === "made") return seenMade(raw);
  const { mount, atMs } = raw;
  const { count, effect, rule } = raw.decisions;
  const common = { at: new Date(atMs).toISOString(), mount, count, effect, rule, tookUs: null, revision: null };
  if (raw.kind === "unnamed") return { ...common, ...UNNAMED, source: "mount" };
  const { source, path, operation, accesses, uid, pid, program, errno, reason, decisionId } = raw.decisions;
  const what = { path: text(path), operation, access: accesses.join(", "), errno, reason, decision: decisionId };
  return { ...common, ...what, source, uid, pid, program: programText(program) };
}

/** The last decisions of one kind. */
class Ring {
  private readonly slots: Raw[] = [];
  private next = 0;
  /** Since the last `takeFresh`: slots, and decisions. */
  private fresh = 0;
  private freshCount = 0;

  add(raw: Raw): void {
    this.slots[this.next] = raw;
    this.next = (this.next + 1) % MAX_DECISIONS;
    this.fresh++;
    this.freshCount += countOf(raw);
  }

  last(most: number): Raw[] {
    const inOrder = this.slots.length < MAX_DECISIONS ? this.slots : [...this.slots.slice(this.next), ...this.slots.slice(0, this.next)];
    return most === 0 ? [] : inOrder.slice(-most);
  }

  takeFresh(): { raws: Raw[]; missed: number } {
    const raws = this.last(Math.min(this.fresh, MAX_DECISIONS));
    const missed = raws.reduce((left, raw) => left - countOf(raw), this.freshCount);
    this.fresh = this.freshCount = 0;
    return { raws, missed };
  }
}

const inTime = (raws: Raw[]): SeenDecision[] => raws.sort((one, other) => one.atMs - other.atMs).map(seen);

/** How many decisions a batch tells of, shown or not. */
export const decisionsIn = ({ decisions, missed }: Batch): number => decisions.reduce((sum, { count }) => sum + count, missed);

function counted(raw: Raw): CountedDecisions {
  if (raw.kind !== "made") {
    const { effect, rule, count } = raw.decisions;
    return { effect, rule, what: raw.kind === "enforced" ? raw.decisions : undefined, count, asked: false };
  }
  const { effect, rule } = raw.decision;
  const { resource, subject, awaitsPersonMs, program = subject.executable ?? "" } = raw.question;
  const what = { path: resource.paths[0] ?? "", program, uid: subject.uid, pid: subject.pid };
  const answered = { effect, rule, what, count: 1, asked: true };
  return awaitsPersonMs === undefined ? { ...answered, tookUs: Number(raw.tookNs) / 1_000 } : answered;
}

export class DecisionFeed {
  private readonly denied = new Ring();
  private readonly others = new Ring();
  private readonly watchers = new Set<(batch: Batch) => void>();
  private timer: NodeJS.Timeout | undefined;
  private missed = 0;

  /** `history` counts every decision. */
  constructor(private readonly history?: ActivityHistory) {}

  /** The same log, and the feed hears what it records. */
  beside(log: DecisionLog): DecisionLog {
    return {
      get toStdout() {
        return log.toStdout;
      },
      room: () => log.room(),
      record: (question, decision, tookNs) => {
        this.record({ kind: "made", question, decision, tookNs, atMs: Date.now() });
        log.record(question, decision, tookNs);
      },
      recordHits: (mount, reportId, hits) => log.recordHits(mount, reportId, hits),
      close: () => log.close(),
    };
  }

  /** A mount enforced these without a question. */
  enforced(mount: string, { decisions, unnamed, missed }: EnforcedReport): void {
    for (const each of decisions) this.record({ kind: "enforced", mount, decisions: each, atMs: each.sinceMs });
    for (const each of unnamed) this.record({ kind: "unnamed", mount, decisions: each, atMs: Date.now() });
    this.missed += missed;
  }

  /** Calls at once with the last decisions, then four times a second if there are any. Returns how to stop. */
  watch(watcher: (batch: Batch) => void): () => void {
    // This watcher gets the newest ones now, so the next batch must not have them again.
    this.flush();
    watcher({ decisions: inTime([...this.denied.last(MAX_DECISIONS), ...this.others.last(MAX_DECISIONS)]), missed: 0 });
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
    const effect = effectOf(raw);
    this.history?.add(counted(raw), raw.atMs);
    (effect === "deny" || effect === "ask" ? this.denied : this.others).add(raw);
  }

  private takeFresh(): { raws: Raw[]; missed: number } {
    const [denied, others] = [this.denied.takeFresh(), this.others.takeFresh()];
    const missed = this.missed + denied.missed + others.missed;
    this.missed = 0;
    return { raws: [...denied.raws, ...others.raws], missed };
  }

  private flush(): void {
    const { raws, missed } = this.takeFresh();
    if (raws.length === 0 && missed === 0) return;
    const batch = { decisions: inTime(raws), missed };
    for (const watcher of this.watchers) watcher(batch);
  }
}
