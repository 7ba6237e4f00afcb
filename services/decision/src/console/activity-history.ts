/**
 * The activity of the last day for the console's overview, in memory of a fixed size: counts of decisions and their times in steps of five
 * seconds, and the most frequent rules and denied paths in steps of five minutes. Nothing of it is written anywhere; Prometheus keeps more.
 */
import type { Effect } from "@sluice/decision-api";
import { HotList } from "@sluice/runtime";
import type { MountWork } from "./mount-work.js";

const STEP_MS = 5_000;
const DAY_MS = 86_400_000;
const STEPS = DAY_MS / STEP_MS;
const HOT_STEP_MS = 300_000;
const HOT_STEPS = DAY_MS / HOT_STEP_MS;
/** Of each step of five minutes. */
const HOT_KEYS = 32;
const SHOWN_KEYS = 10;
/** Characters of a path, and of a program. */
const MAX_TEXT = 1_024;
/** Points of a chart at most: more cannot be told apart. */
const MAX_POINTS = 300;

const EFFECTS = ["grant", "mediate", "ask", "deny"] as const satisfies readonly Effect[];
/** Behind the effects: answers of this service, then the times. */
const ASKED = EFFECTS.length;
const TIMES = ASKED + 1;
/** The bound of a time is half again that of the one before, in microseconds: from 1 to some 7 seconds. */
const GROWTH = 1.5;
const TIME_COUNT = 40;
const COLUMNS = TIMES + TIME_COUNT;
/** Of the mounts, summed up over the samples of the step: open files by the way of their I/O, and then rates per second. */
const MOUNTS = ["samples", "openKernel", "openDaemon", "openedKernel", "openedDaemon", "read", "written"] as const;
type MountColumn = (typeof MOUNTS)[number];

const BETWEEN = "\0";

const text = (bytes: string): string => Buffer.from(bytes, "latin1").toString("utf8");

/** Of the newest caller, if there are several. Names are byte strings; the program is empty if the mount did not read it. */
export interface NamedAccess {
  path: string;
  program: string;
  uid: number;
  pid: number;
}

/** Equal decisions, whoever made them. */
export interface CountedDecisions {
  effect: Effect;
  rule: string;
  /** Undefined: not named. */
  what: NamedAccess | undefined;
  count: number;
  /** This service answered. */
  asked: boolean;
  /** Undefined, too, if a person was waited for. */
  tookUs?: number;
}

export interface MountSample {
  kernel: number;
  daemon: number;
  works: readonly Pick<MountWork, "seconds" | "opens" | "readBytes" | "writtenBytes">[];
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
  /** The share of files whose I/O the kernel does, from 0 to 1: of the open ones, and of opens. */
  bypass: (number | null)[];
  bypassOpens: (number | null)[];
  /** Bytes that mounts read and wrote for callers. The kernel counts none of those that pass through. */
  read: (number | null)[];
  written: (number | null)[];
  /** The hottest first, in the steps of five minutes that touch the range. */
  rules: { effect: string; rule: string; count: number }[];
  denied: (NamedAccess & { rule: string; count: number })[];
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

/** The oldest list first: the tag is the newest one's. */
function mostFrequent(lists: readonly HotList[]): { key: string; count: number; tag: number }[] {
  const all = new Map<string, { key: string; count: number; tag: number }>();
  for (const list of lists)
    for (const { key, count, tag } of list.top()) all.set(key, { key, count: (all.get(key)?.count ?? 0) + count, tag });
  return [...all.values()].sort((one, other) => other.count - one.count).slice(0, SHOWN_KEYS);
}

const keyOf = ({ path, program, uid }: NamedAccess, rule: string): string =>
  [path.slice(0, MAX_TEXT), rule, program.slice(0, MAX_TEXT), uid].join(BETWEEN);

function deniedAccess({ key, count, tag: pid }: { key: string; count: number; tag: number }): Overview["denied"][number] {
  const [path = "", rule = "", program = "", uid] = key.split(BETWEEN);
  return { path: text(path), rule, program: text(program), uid: Number(uid), pid, count };
}

/** The share of the first of two numbers; null if both are 0. */
const shareOf = (one: number, other: number): number | null => (one + other === 0 ? null : one / (one + other));

export class ActivityHistory {
  /** One row for each step, at its number modulo STEPS. */
  readonly #counts = new Uint32Array(STEPS * COLUMNS);
  /** The same for MOUNTS. A second may have more bytes than 32 bits can count. */
  readonly #mounts = new Float64Array(STEPS * MOUNTS.length);
  /** The step that each row belongs to. */
  readonly #rows = new Float64Array(STEPS);
  readonly #hot: HotStep[] = [];

  add({ effect, rule, what, count, asked, tookUs }: CountedDecisions, nowMs: number): void {
    const row = this.#row(nowMs);
    const column = EFFECTS.indexOf(effect);
    this.#counts[row + column] = (this.#counts[row + column] as number) + count;
    if (asked) this.#counts[row + ASKED] = (this.#counts[row + ASKED] as number) + count;
    if (tookUs !== undefined) this.#counts[row + timeColumn(tookUs)] = (this.#counts[row + timeColumn(tookUs)] as number) + count;
    const hot = this.#hotStep(nowMs);
    hot.rules[effect].add(rule, count);
    if (effect === "deny" && what !== undefined) hot.denied.add(keyOf(what, rule), count, what.pid);
  }

  /** Of all mounts: their open files now, by the way of their I/O, and the work of each since the sample before. */
  sample({ kernel, daemon, works }: MountSample, nowMs: number): void {
    const row = this.#mountRow(nowMs);
    const add = (column: MountColumn, amount: number): void => {
      const at = MOUNTS.indexOf(column);
      row[at] = (row[at] as number) + amount;
    };
    add("samples", 1);
    add("openKernel", kernel);
    add("openDaemon", daemon);
    for (const { seconds, opens, readBytes, writtenBytes } of works) {
      add("openedKernel", (opens["passthrough"] ?? 0) / seconds);
      add("openedDaemon", (opens["mediated"] ?? 0) / seconds);
      add("read", readBytes / seconds);
      add("written", writtenBytes / seconds);
    }
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
    const ofMounts = Array.from({ length: points }, (_, point) => this.#sumOfMounts(last - (points - point) * each, each));
    const hot = this.#hot.filter(({ step }) => (step + 1) * HOT_STEP_MS > nowMs - rangeMs);
    return {
      stepS: seconds,
      times: sums.map((_sum, point) => ((last - (points - 1 - point) * each) * STEP_MS) / 1000),
      effects: Object.fromEntries(EFFECTS.map((effect, column) => [effect, rates(column)])) as Record<Effect, number[]>,
      asked: rates(ASKED),
      cached: sums.map((sum) => Math.max(0, all(sum) - (sum[ASKED] as number)) / seconds),
      p50Us: sums.map((sum) => percentile(sum, 0.5)),
      p99Us: sums.map((sum) => percentile(sum, 0.99)),
      bypass: ofMounts.map(({ openKernel, openDaemon }) => shareOf(openKernel, openDaemon)),
      bypassOpens: ofMounts.map(({ openedKernel, openedDaemon }) => shareOf(openedKernel, openedDaemon)),
      read: ofMounts.map(({ read, samples }) => (samples === 0 ? null : read / samples)),
      written: ofMounts.map(({ written, samples }) => (samples === 0 ? null : written / samples)),
      rules: EFFECTS.flatMap((effect) =>
        mostFrequent(hot.map(({ rules }) => rules[effect])).map(({ key, count }) => ({ effect, rule: key, count })),
      )
        .sort((one, other) => other.count - one.count)
        .slice(0, SHOWN_KEYS),
      denied: mostFrequent(hot.map(({ denied }) => denied)).map(deniedAccess),
    };
  }

  /** @returns the place of the first count of the step; counts of the day before are dropped */
  #row(nowMs: number): number {
    const step = Math.floor(nowMs / STEP_MS);
    const at = step % STEPS;
    if (this.#rows[at] !== step) {
      this.#rows[at] = step;
      this.#counts.fill(0, at * COLUMNS, (at + 1) * COLUMNS);
      this.#mounts.fill(0, at * MOUNTS.length, (at + 1) * MOUNTS.length);
    }
    return at * COLUMNS;
  }

  #mountRow(nowMs: number): Float64Array {
    const begin = (this.#row(nowMs) / COLUMNS) * MOUNTS.length;
    return this.#mounts.subarray(begin, begin + MOUNTS.length);
  }

  #sum(first: number, steps: number): Float64Array {
    return this.#addUp(this.#counts, COLUMNS, first, steps);
  }

  #sumOfMounts(first: number, steps: number): Record<MountColumn, number> {
    const sum = this.#addUp(this.#mounts, MOUNTS.length, first, steps);
    return Object.fromEntries(MOUNTS.map((column, at) => [column, sum[at]])) as Record<MountColumn, number>;
  }

  #addUp(from: Uint32Array | Float64Array, columns: number, first: number, steps: number): Float64Array {
    const sum = new Float64Array(columns);
    for (let step = first; step < first + steps; step++) {
      const at = step % STEPS;
      if (this.#rows[at] !== step) continue;
      const begin = at * columns;
      for (let column = 0; column < columns; column++) sum[column] = (sum[column] as number) + (from[begin + column] as number);
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
