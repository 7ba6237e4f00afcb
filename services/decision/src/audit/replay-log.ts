/** A recorded decision log against another policy: the changes, by rule and by path. Changes nothing itself. */
import type { Effect } from "@sluice/decision-api";
import type { Policy, Ruling } from "@sluice/policy-backends";
import { type LogLine, readLogLine } from "./read-decision-log.js";

type Recorded = Extract<LogLine, { kind: "decision" }>;

/** The recorded effect, the new one, and their count. */
export interface Change {
  was: { effect: Effect; rule: string };
  now: { effect: Effect; rule: string };
  /** Decisions, with those that mounts gave again from their caches. */
  count: number;
}

export interface Counts {
  decisions: number;
  same: number;
  /** Decided differently: another effect, or another errno. */
  different: number;
  /** The policy gave no answer. */
  failed: number;
}

export interface Replay extends Counts {
  /** The same, with those that mounts gave again from their caches. */
  given: Counts;
  /** Lines that belong to no decision log, or are cut off. */
  unreadable: number;
  firstFailure: string | undefined;
  byRule: Change[];
  byPath: (Change & { path: string })[];
}

/** Questions asked at once: engines elsewhere take many together. */
const AT_ONCE = 64;
/** Paths that are told apart; of a change at more the rest goes by rule alone. */
const MAX_PATHS = 100_000;

const none = (): Counts => ({ decisions: 0, same: 0, different: 0, failed: 0 });

/** How a decision came out, and the changes it is counted in. */
interface Outcome {
  kind: "same" | "different" | "failed";
  changes: readonly Change[];
}

class Tally {
  readonly replay: Replay = {
    ...none(),
    given: none(),
    unreadable: 0,
    firstFailure: undefined,
    byRule: [],
    byPath: [],
  };
  private readonly byRule = new Map<string, Change>();
  private readonly byPath = new Map<string, Change & { path: string }>();
  /** For the hits that name a decision. */
  private readonly outcomes = new Map<string, Outcome>();

  failed({ decisionId }: Recorded, error: unknown): void {
    this.replay.firstFailure ??= error instanceof Error ? error.message : String(error);
    this.count(decisionId, { kind: "failed", changes: [] });
  }

  record({ decisionId, question, result }: Recorded, ruling: Ruling): void {
    if (ruling.effect === result.effect && ruling.errno === result.errno) {
      this.count(decisionId, { kind: "same", changes: [] });
      return;
    }
    const was = { effect: result.effect, rule: result.rule };
    const now = { effect: ruling.effect, rule: ruling.rule };
    const path = Buffer.from(question.resource.paths[0] ?? "", "latin1").toString("utf8");
    const key = JSON.stringify([was, now]);
    const rule = entryOf(this.byRule, key, () => ({ was, now, count: 0 }));
    const changes: Change[] = [rule];
    const pathKey = `${path}\n${key}`;
    if (this.byPath.has(pathKey) || this.byPath.size < MAX_PATHS)
      changes.push(entryOf(this.byPath, pathKey, () => ({ path, was, now, count: 0 })));
    this.count(decisionId, { kind: "different", changes });
  }

  hits(decisionId: string, count: number): void {
    const outcome = this.outcomes.get(decisionId);
    if (outcome !== undefined) this.give(outcome, count);
  }

  private count(decisionId: string, outcome: Outcome): void {
    this.replay.decisions++;
    this.replay[outcome.kind]++;
    this.outcomes.set(decisionId, outcome);
    this.give(outcome, 1);
  }

  private give({ kind, changes }: Outcome, times: number): void {
    this.replay.given.decisions += times;
    this.replay.given[kind] += times;
    for (const change of changes) change.count += times;
  }

  done(): Replay {
    const most = <Each extends Change>(changes: Iterable<Each>): Each[] => [...changes].sort((a, b) => b.count - a.count);
    return { ...this.replay, byRule: most(this.byRule.values()), byPath: most(this.byPath.values()) };
  }
}

function entryOf<Entry>(map: Map<string, Entry>, key: string, make: () => Entry): Entry {
  let entry = map.get(key);
  if (entry === undefined) {
    entry = make();
    map.set(key, entry);
  }
  return entry;
}

/** Hedged and repeated questions share an id, and are counted once; so are reports of hits. */
export async function replayLog(lines: AsyncIterable<string>, policy: Policy): Promise<Replay> {
  const tally = new Tally();
  const seen = new Set<string>();
  let together: Recorded[] = [];
  const ask = async (recorded: Recorded): Promise<void> => {
    try {
      tally.record(recorded, await policy.evaluate(recorded.question));
    } catch (error) {
      tally.failed(recorded, error);
    }
  };
  const flush = async (): Promise<void> => {
    const batch = together;
    together = [];
    await Promise.all(batch.map(ask));
  };
  for await (const text of lines) {
    if (text.trim() === "") continue;
    const line = readLogLine(text);
    const key =
      line.kind === "decision" ? `q${line.question.id}` : line.kind === "hits" ? `h${line.reportId} ${line.decisionId}` : undefined;
    if (key !== undefined && seen.has(key)) continue;
    if (key !== undefined) seen.add(key);
    if (line.kind === "unreadable") tally.replay.unreadable++;
    else if (line.kind === "decision") together.push(line);
    else {
      await flush();
      tally.hits(line.decisionId, line.count);
    }
    if (together.length >= AT_ONCE) await flush();
  }
  await flush();
  return tally.done();
}
