/** Counts answers that came out the same, differently or not at all, and the changes by rule and by path. */
import type { Access, Effect } from "@sluice/decision-api";
import type { Ruling } from "@sluice/policy-backends";

/** An answer. A decision log tells no obligations, and no hidden names. */
export type Answer = Pick<Ruling, "effect" | "errno" | "rule"> & Partial<Pick<Ruling, "obligations" | "hides">>;

/** One side of a change. Obligations only if the other side has others. */
export interface ChangeSide {
  effect: Effect | "hide";
  rule: string;
  obligations?: Readonly<Record<string, string>>;
}

/** The earlier answer, the new one, and their count. */
export interface Change {
  was: ChangeSide;
  now: ChangeSide;
  /** Decisions, with those that mounts gave again from their caches. */
  count: number;
}

export interface Counts {
  decisions: number;
  same: number;
  /** Decided differently: another effect or errno, or other obligations if both are known. */
  different: number;
  /** The policy gave no answer. */
  failed: number;
}

/** `accesses`: those that change so, if each was asked by itself. */
export type PathChange = Change & { path: string; accesses?: Access[] };

export interface Changes extends Counts {
  /** The same, with those that mounts gave again from their caches. */
  given: Counts;
  firstFailure: string | undefined;
  byRule: Change[];
  byPath: PathChange[];
}

/** Paths that are told apart; of a change at more the rest goes by rule alone. */
const MAX_PATHS = 100_000;

const none = (): Counts => ({ decisions: 0, same: 0, different: 0, failed: 0 });

/** How a decision came out, and the changes it is counted in. */
interface Outcome {
  kind: "same" | "different" | "failed";
  changes: readonly Change[];
}

/** A question under two policies. Its id names it for `hits`; `path` is a byte string. */
export interface Compared {
  id?: string;
  path: string;
  access?: Access;
  was: Answer;
  now: Answer;
}

const obligationsOf = ({ obligations = [] }: Answer): Record<string, string> =>
  Object.fromEntries(obligations.map(({ name, value }) => [name, value] as const).sort(([one], [other]) => (one < other ? -1 : 1)));

/** A side that does not tell its obligations is compared by its effect alone. */
function sidesOf({ was, now }: Compared): { was: ChangeSide; now: ChangeSide } | undefined {
  const told = was.obligations !== undefined && now.obligations !== undefined;
  const sameDuties = !told || JSON.stringify(obligationsOf(was)) === JSON.stringify(obligationsOf(now));
  const effectOf = ({ effect, hides }: Answer): ChangeSide["effect"] => (told && hides === true ? "hide" : effect);
  if (effectOf(was) === effectOf(now) && was.errno === now.errno && sameDuties) return undefined;
  const side = (answer: Answer): ChangeSide => ({
    effect: effectOf(answer),
    rule: answer.rule,
    ...(sameDuties ? {} : { obligations: obligationsOf(answer) }),
  });
  return { was: side(was), now: side(now) };
}

export class ChangeTally {
  private readonly counts = { ...none(), given: none() };
  private firstFailure: string | undefined;
  private readonly byRule = new Map<string, Change>();
  private readonly byPath = new Map<string, PathChange>();
  /** For the hits that name a decision. */
  private readonly outcomes = new Map<string, Outcome>();

  failed(id: string | undefined, error: unknown): void {
    this.firstFailure ??= error instanceof Error ? error.message : String(error);
    this.count(id, { kind: "failed", changes: [] });
  }

  record(compared: Compared): void {
    const sides = sidesOf(compared);
    if (sides === undefined) {
      this.count(compared.id, { kind: "same", changes: [] });
      return;
    }
    const path = Buffer.from(compared.path, "latin1").toString("utf8");
    const key = JSON.stringify(sides);
    const changes: Change[] = [entryOf(this.byRule, key, () => ({ ...sides, count: 0 }))];
    const pathKey = `${path}\n${key}`;
    if (this.byPath.has(pathKey) || this.byPath.size < MAX_PATHS) {
      const change = entryOf<PathChange>(this.byPath, pathKey, () => ({ path, ...sides, count: 0 }));
      if (compared.access !== undefined) (change.accesses ??= []).push(compared.access);
      changes.push(change);
    }
    this.count(compared.id, { kind: "different", changes });
  }

  hits(id: string, count: number): void {
    const outcome = this.outcomes.get(id);
    if (outcome !== undefined) this.give(outcome, count);
  }

  private count(id: string | undefined, outcome: Outcome): void {
    this.counts.decisions++;
    this.counts[outcome.kind]++;
    if (id !== undefined) this.outcomes.set(id, outcome);
    this.give(outcome, 1);
  }

  private give({ kind, changes }: Outcome, times: number): void {
    this.counts.given.decisions += times;
    this.counts.given[kind] += times;
    for (const change of changes) change.count += times;
  }

  done(): Changes {
    const most = <Each extends Change>(changes: Iterable<Each>): Each[] => [...changes].sort((a, b) => b.count - a.count);
    const { counts, firstFailure } = this;
    return { ...counts, firstFailure, byRule: most(this.byRule.values()), byPath: most(this.byPath.values()) };
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
