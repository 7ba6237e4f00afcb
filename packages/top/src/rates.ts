/** Computes the activity between two reports. */
import { type ActivityReport, type DurationCounts, type ServerInterval, takenTogether } from "@sluice/mount-control";

export type Denied = Omit<NonNullable<ActivityReport["denied"]>[number], "atMostOver">;

/** The activity between two moments; the rate of each count is `count / seconds`. */
export interface Interval {
  seconds: number;
  now: ActivityReport;
  requests: { operation: string; count: number; errors: number; durations: DurationCounts }[];
  opens: Record<string, number>;
  decisions: Record<string, number>;
  decisionDurations: DurationCounts;
  rules: { rule: string; counts: Record<string, number> }[];
  paths: { path: string; count: number }[];
  denied: Denied[];
  /** Denials beyond the rate at which the server names them. */
  deniedUnnamed: number;
  mediatedBytes: Record<string, number>;
  copyUpBytes: number;
  /** Undefined if no second of the interval is known. */
  server: ServerInterval | undefined;
}

const NO_DURATIONS: DurationCounts = { boundsMs: [], counts: [], sumMs: 0, count: 0 };

function countsBetween(before: Record<string, number>, now: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(now).map(([key, count]) => [key, count - (before[key] ?? 0)]));
}

function durationsBetween(before: DurationCounts, now: DurationCounts): DurationCounts {
  return {
    boundsMs: now.boundsMs,
    counts: now.counts.map((count, bucket) => count - (before.counts[bucket] ?? 0)),
    sumMs: now.sumMs - before.sumMs,
    count: now.count - before.count,
  };
}

function requestsBetween(before: ActivityReport["requests"], now: ActivityReport["requests"]): Interval["requests"] {
  const all = Object.entries(now).map(([operation, { errors, durations }]) => {
    const was = before[operation] ?? { errors: 0, durations: NO_DURATIONS };
    const between = durationsBetween(was.durations, durations);
    return { operation, count: between.count, errors: errors - was.errors, durations: between };
  });
  return all.filter(({ count }) => count > 0).sort((one, other) => other.count - one.count);
}

function serverBetween(before: ActivityReport | undefined, { seconds = [] }: ActivityReport): ServerInterval | undefined {
  return before && takenTogether(seconds.filter(({ atMs }) => atMs > before.atMs));
}

function rulesBetween(before: ActivityReport["rules"], now: ActivityReport["rules"]): Interval["rules"] {
  const was = new Map(before);
  const sum = (counts: Record<string, number>): number => Object.values(counts).reduce((total, count) => total + count, 0);
  const all = now.map(([rule, counts]) => ({ rule, counts: countsBetween(was.get(rule) ?? {}, counts) }));
  return all.filter(({ counts }) => sum(counts) > 0).sort((one, other) => sum(other.counts) - sum(one.counts));
}

/** Of a list that holds the most frequent entries only. */
function hottestBetween<Hot extends { count: number; atMostOver: number }>(
  before: readonly Hot[],
  now: readonly Hot[],
  keyOf: (hot: Hot) => string,
): Hot[] {
  const was = new Map(before.map((hot) => [keyOf(hot), hot.count]));
  // An entry that is new in the list inherited the count of the entry that it replaced.
  const all = now.map((hot) => ({ ...hot, count: hot.count - (was.get(keyOf(hot)) ?? hot.atMostOver) }));
  return all.filter(({ count }) => count > 0).sort((one, other) => other.count - one.count);
}

const deniedKey = ({ path, rule, program, uid }: Denied): string => [path, rule, program, uid].join("\0");

/** Two reports of one server differ by rounding. */
const SAME_START_MS = 5;
const startedMs = ({ atMs, uptimeMs }: ActivityReport): number => atMs - uptimeMs;

/** Without an earlier report of the same server, the interval begins at the start of the server. */
export function between(earlier: ActivityReport | undefined, now: ActivityReport): Interval {
  const before = earlier !== undefined && Math.abs(startedMs(earlier) - startedMs(now)) <= SAME_START_MS ? earlier : undefined;
  const elapsedMs = before === undefined ? now.uptimeMs : now.atMs - before.atMs;
  return {
    seconds: Math.max(elapsedMs, 1) / 1000,
    now,
    requests: requestsBetween(before?.requests ?? {}, now.requests),
    opens: countsBetween(before?.opens ?? {}, now.opens),
    decisions: countsBetween(before?.decisions ?? {}, now.decisions),
    decisionDurations: durationsBetween(before?.decisionDurations ?? NO_DURATIONS, now.decisionDurations),
    rules: rulesBetween(before?.rules ?? [], now.rules),
    paths: hottestBetween(before?.paths ?? [], now.paths, ({ path }) => path),
    denied: hottestBetween(before?.denied ?? [], now.denied ?? [], deniedKey),
    deniedUnnamed: (now.deniedUnnamed ?? 0) - (before?.deniedUnnamed ?? 0),
    mediatedBytes: countsBetween(before?.mediatedBytes ?? {}, now.mediatedBytes),
    copyUpBytes: now.copyUps.bytes - (before?.copyUps.bytes ?? 0),
    server: serverBetween(before, now),
  };
}

/** The upper bound of that share of durations; Infinity past the last bound, undefined without durations. */
export function percentileMs({ boundsMs, counts, count }: DurationCounts, share: number): number | undefined {
  if (count <= 0) return undefined;
  let seen = 0;
  for (const [bucket, boundMs] of boundsMs.entries()) {
    seen += counts[bucket] ?? 0;
    if (seen >= count * share) return boundMs;
  }
  return Number.POSITIVE_INFINITY;
}
