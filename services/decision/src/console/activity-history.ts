/**
 * The activity of the last day for the console's overview, in memory of a fixed size: counts of decisions and their times in steps of five
 * seconds, and the most frequent rules and denied paths in steps of five minutes. Nothing of it is written anywhere; Prometheus keeps more.
 */
import type { Effect } from "@sluice/decision-api";
import { HotList } from "@sluice/runtime";

const STEP_MS = 5_000;
const DAY_MS = 86_400_000;
const STEPS = DAY_MS / STEP_MS;
const HOT_STEP_MS = 300_000;
const HOT_STEPS = DAY_MS / HOT_STEP_MS;
/** Of each step of five minutes. */
const HOT_KEYS = 32;
const SHOWN_KEYS = 10;
/** Characters of a path. */
const MAX_PATH = 1_024;
/** Points of a chart at most: more cannot be told apart. */
const MAX_POINTS = 300;

const EFFECTS = ["grant", "mediate", "ask", "deny"] as const satisfies readonly Effect[];
/** Behind the effects: answers of this service; open files by the way of their I/O, when the step ended; then the times. */
const ASKED = EFFECTS.length;
const KERNEL = ASKED + 1;
const DAEMON = KERNEL + 1;
const TIMES = DAEMON + 1;
/** The bound of a time is half again that of the one before, in microseconds: from 1 to some 7 seconds. */
const GROWTH = 1.5;
const TIME_COUNT = 40;
const COLUMNS = TIMES + TIME_COUNT;

const BETWEEN = "\0";

/** Equal decisions, whoever made them. */
export interface CountedDecisions {
  effect: Effect;
  rule: string;
  /** A byte string; undefined: not named. */
  path: string | undefined;
  count: number;
  /** This service answered. */
  asked: boolean;
  /** Undefined, too, if a person was waited for. */
  tookUs?: number;
}

/** Numbers of one moment each. Rates are per second; null if nothing was counted. */
export interface Overview {
  stepS: number;
  /** Seconds since 1970: the end of each step. */
  times: number[];
  effects: Record<Effect, number[]>;
  /** Answers of this service, and decisions that mounts made with cached answers. */
  asked: number[];
  cached: number[];
  p50Us: (number | null)[];
  p99Us: (number | null)[];
  /** The share of open files whose I/O the kernel does, from 0 to 1. */
  bypass: (number | null)[];
  /** The hottest first, in the steps of five minutes that touch the range. */
  rules: { effect: string; rule: string; count: number }[];
  denied: { path: string; rule: string; count: number }[];
}

interface HotStep {
  step: number;
  /** By effect, so that no key has to be made for a decision. */
  rules: Record<Effect, HotList>;
  denied: HotList;
}

function timeColumn(tookUs: number): number {
  const bucket = tookUs <= 1 ? 0 : Math.ceil(Math.log(tookUs) / Math.log(GROWTH));
  return TIMES + Math.min(bucket, TIME_COUNT - 1);
}

/** The bound that this share of the times did not pass. */
function percentile(counts: Float64Array, share: number): number | null {
  const times = counts.subarray(TIMES);
  const all = times.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let seen = 0;
  const bucket = times.findIndex((count) => (seen += count) >= all * share);
  return Number((GROWTH ** bucket).toPrecision(3));
}

function mostFrequent(lists: readonly HotList[]): [key: string, count: number][] {
  const counts = new Map<string, number>();
  for (const list of lists) for (const { key, count } of list.top()) counts.set(key, (counts.get(key) ?? 0) + count);
  return [...counts].sort(([, one], [, other]) => other - one).slice(0, SHOWN_KEYS);
}

export class ActivityHistory {
  /** One row for each step, at its number modulo STEPS. */
  readonly #counts = new Uint32Array(STEPS * COLUMNS);
  /** The step that each row belongs to. */
  readonly #rows = new Float64Array(STEPS);
  readonly #hot: HotStep[] = [];

  add({ effect, rule, path, count, asked, tookUs }: CountedDecisions, nowMs: number): void {
    const row = this.#row(nowMs);
    const column = EFFECTS.indexOf(effect);
    this.#counts[row + column] = (this.#counts[row + column] as number) + count;
    if (asked) this.#counts[row + ASKED] = (this.#counts[row + ASKED] as number) + count;
    if (tookUs !== undefined) this.#counts[row + timeColumn(tookUs)] = (this.#counts[row + timeColumn(tookUs)] as number) + count;
    const hot = this.#hotStep(nowMs);
    hot.rules[effect].add(rule, count);
    if (effect === "deny" && path !== undefined) hot.denied.add(`${path.slice(0, MAX_PATH)}${BETWEEN}${rule}`, count);
  }

  /** Open files of all mounts now, by the way of their I/O. */
  sample(kernel: number, daemon: number, nowMs: number): void {
    const row = this.#row(nowMs);
    this.#counts[row + KERNEL] = kernel;
    this.#counts[row + DAEMON] = daemon;
  }

  /** Of the last `rangeMs`, without the step under way. */
  overview(rangeMs: number, nowMs: number): Overview {
    const steps = Math.min(Math.floor(rangeMs / STEP_MS), STEPS - 1);
    const each = Math.ceil(steps / MAX_POINTS);
    const points = Math.floor(steps / each);
    const last = Math.floor(nowMs / STEP_MS);
    const sums = Array.from({ length: points }, (_, point) => this.#sum(last - (points - point) * each, each));
    const seconds = (each * STEP_MS) / 1000;
    const rates = (column: number): number[] => sums.map((sum) => (sum[column] as number) / seconds);
    const all = (sum: Float64Array): number => EFFECTS.reduce((total, _effect, column) => total + (sum[column] as number), 0);
    const bypass = sums.map((sum) => {
      const open = (sum[KERNEL] as number) + (sum[DAEMON] as number);
      return open === 0 ? null : (sum[KERNEL] as number) / open;
    });
    const hot = this.#hot.filter(({ step }) => (step + 1) * HOT_STEP_MS > nowMs - rangeMs);
    return {
      stepS: seconds,
      times: sums.map((_sum, point) => ((last - (points - 1 - point) * each) * STEP_MS) / 1000),
      effects: Object.fromEntries(EFFECTS.map((effect, column) => [effect, rates(column)])) as Record<Effect, number[]>,
      asked: rates(ASKED),
      cached: sums.map((sum) => Math.max(0, all(sum) - (sum[ASKED] as number)) / seconds),
      p50Us: sums.map((sum) => percentile(sum, 0.5)),
      p99Us: sums.map((sum) => percentile(sum, 0.99)),
      bypass,
      rules: EFFECTS.flatMap((effect) =>
        mostFrequent(hot.map(({ rules }) => rules[effect])).map(([rule, count]) => ({ effect, rule, count })),
      )
        .sort((one, other) => other.count - one.count)
        .slice(0, SHOWN_KEYS),
      denied: mostFrequent(hot.map(({ denied }) => denied)).map(([key, count]) => {
        const [path = "", rule = ""] = key.split(BETWEEN);
        return { path: Buffer.from(path, "latin1").toString("utf8"), rule, count };
      }),
    };
  }

  /** @returns the place of the first count of the step; counts of the day before are dropped */
  #row(nowMs: number): number {
    const step = Math.floor(nowMs / STEP_MS);
    const at = step % STEPS;
    if (this.#rows[at] !== step) {
      this.#rows[at] = step;
      this.#counts.fill(0, at * COLUMNS, (at + 1) * COLUMNS);
    }
    return at * COLUMNS;
  }

  #sum(first: number, steps: number): Float64Array {
    const sum = new Float64Array(COLUMNS);
    const [counts, rows] = [this.#counts, this.#rows];
    for (let step = first; step < first + steps; step++) {
      const at = step % STEPS;
      if (rows[at] !== step) continue;
      const begin = at * COLUMNS;
      for (let column = 0; column < COLUMNS; column++) sum[column] = (sum[column] as number) + (counts[begin + column] as number);
    }
    return sum;
  }

  #hotStep(nowMs: number): HotStep {
    const step = Math.floor(nowMs / HOT_STEP_MS);
    const newest = this.#hot.at(-1);
    if (newest?.step === step) return newest;
    const list = (): HotList => new HotList(HOT_KEYS);
    const made = { step, rules: { grant: list(), mediate: list(), ask: list(), deny: list() }, denied: list() };
    this.#hot.push(made);
    if (this.#hot.length > HOT_STEPS) this.#hot.shift();
    return made;
  }
}
