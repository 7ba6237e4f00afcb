/** One frame of activity, as lines for a terminal or a pipe. */
import type { DurationCounts, ServerInterval } from "@sluice/mount-control";
import { escapeLine, escapeTextName, table } from "@sluice/runtime/cli";
import { type Interval, percentileMs } from "./rates.js";
import { FIRST_VIEW, keyLine, type Sort, type View } from "./view.js";

/** The rows of each table if the height is unknown. */
const SHOWN_ROWS = 8;
const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;
const BAR = 20;

function rate(count: number, seconds: number): string {
  const each = count / seconds;
  return each >= 100 || Number.isInteger(each) ? String(Math.round(each)) : each.toFixed(1);
}

export function bytes(count: number): string {
  let [value, unit] = [count, 0];
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** "0.25": the share took at most this many ms. */
function latency(durations: DurationCounts, share: number): string {
  const ms = percentileMs(durations, share);
  if (ms === undefined) return "-";
  return ms === Number.POSITIVE_INFINITY ? `>${durations.boundsMs.at(-1)}` : String(ms);
}

/** "96 % passthrough, 4 % mediated", or "none". */
function shares(counts: Record<string, number>): string {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  if (total === 0) return "none";
  const shown = Object.entries(counts).filter(([, count]) => count > 0);
  return shown
    .sort(([, one], [, other]) => other - one)
    .map(([name, count]) => `${Math.round((count / total) * 100)} % ${name}`)
    .join(", ");
}

function sumBy(counts: Record<string, number>, part: 0 | 1): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [key, count] of Object.entries(counts)) {
    const name = key.split("/")[part] as string;
    sums[name] = (sums[name] ?? 0) + count;
  }
  return sums;
}

const total = (counts: Record<string, number>): number => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** In three digits at most. */
const ms = (value: number): string => (value >= 10 ? String(Math.round(value)) : value.toFixed(value >= 1 ? 1 : 2));
const percent = (share: number): string => `${Math.round(share * 100)} %`;

function serverLine(server: ServerInterval | undefined): string[] {
  if (server === undefined) return [];
  const { busy, collecting, pauseMs, queued } = server;
  const queue = queued === null ? "" : `; at most ${queued} requests in the kernel's queue`;
  return [`server      ${percent(busy)} busy, ${percent(collecting)} garbage collection, longest pause ${ms(pauseMs)} ms${queue}`];
}

function summary(interval: Interval): string[] {
  const { now, seconds, requests, opens, decisions, decisionDurations, mediatedBytes, copyUpBytes, server } = interval;
  const count = requests.reduce((sum, each) => sum + each.count, 0);
  const errors = requests.reduce((sum, each) => sum + each.errors, 0);
  const openNow = Object.entries(now.openNow).filter(([, open]) => open > 0);
  const each = (bytesMoved: number): string => `${bytes(bytesMoved / seconds)}/s`;
  const waits = [0.5, 0.9, 0.99].map((share) => `p${share * 100} ${latency(decisionDurations, share)}`);
  return [
    ...serverLine(server),
    `requests    ${rate(count, seconds)}/s, ${rate(errors, seconds)}/s with an error, ${now.inFlight} waiting`,
    `opens       ${rate(total(opens), seconds)}/s: ${shares(opens)}`,
    `open now    ${openNow.length === 0 ? "none" : openNow.map(([mode, open]) => `${open} ${mode}`).join(", ")}; ${now.grants} grants in force, ${now.revoked} of them revoked`,
    `decisions   ${rate(total(decisions), seconds)}/s: ${shares(sumBy(decisions, 0))}; from ${shares(sumBy(decisions, 1))}`,
    `asked       within ms: ${waits.join(", ")}`,
    `mediated    ${each(mediatedBytes["read"] ?? 0)} read, ${each(mediatedBytes["write"] ?? 0)} written; ${each(copyUpBytes)} copied up`,
  ];
}

/** A table with an empty line before it. */
interface Section {
  head: readonly string[];
  rows: (readonly string[])[];
}

type Numbers = readonly number[];

/** Largest first, by the first number that differs. */
function sortedBy<Each>(list: readonly Each[], numbersOf: (each: Each) => Numbers): Each[] {
  const difference = (one: Numbers, other: Numbers): number => {
    const at = one.findIndex((value, index) => value !== other[index]);
    return at < 0 ? 0 : (other[at] as number) > (one[at] as number) ? 1 : -1;
  };
  return [...list].sort((one, other) => difference(numbersOf(one), numbersOf(other)));
}

function operations({ requests, seconds, server }: Interval, sort: Sort): Section {
  const allMs = requests.reduce((sum, { durations }) => sum + durations.sumMs, 0);
  const sorted = sortedBy(requests, ({ count, errors, durations }) => {
    if (sort === "errors") return [errors, count];
    return sort === "slowest" ? [percentileMs(durations, 0.99) ?? -1, percentileMs(durations, 0.9) ?? -1, count] : [count];
  });
  const rows = sorted.map(({ operation, count, errors, durations }) => {
    const waits = [0.5, 0.9, 0.99].map((share) => latency(durations, share));
    const worst = server?.worstMs[operation];
    const share = percent(allMs === 0 ? 0 : durations.sumMs / allMs);
    return [
      operation,
      rate(count, seconds),
      rate(errors, seconds),
      share,
      ...waits,
      ...(server === undefined ? [] : [worst === undefined ? "-" : ms(worst)]),
    ];
  });
  return { head: ["OPERATION", "A SECOND", "ERRORS", "TIME", "P50 MS", "P90", "P99", ...(server === undefined ? [] : ["WORST"])], rows };
}

function rules({ rules: all, seconds }: Interval, { sort, filter }: View): Section {
  const chosen = all.filter(({ rule }) => rule.includes(filter));
  const sorted = sort === "errors" ? sortedBy(chosen, ({ counts }) => [counts["deny"] ?? 0, total(counts)]) : chosen;
  const rows = sorted.map(({ rule, counts }) => [
    rule,
    ...["grant", "mediate", "deny"].map((effect) => rate(counts[effect] ?? 0, seconds)),
  ]);
  return { head: ["RULE, A SECOND", "GRANT", "MEDIATE", "DENY"], rows };
}

function paths({ paths: all, seconds }: Interval, { filter }: View): Section {
  const rows = all.filter(({ path }) => path.includes(filter)).map(({ path, count }) => [rate(count, seconds), escapeTextName(path)]);
  return { head: ["OPENS", "HOTTEST PATHS, A SECOND"], rows };
}

function denied({ denied: all, deniedUnnamed, seconds }: Interval, { filter }: View): Section {
  const chosen = all.filter(({ path, rule, program }) => [path, rule, program].some((name) => name.includes(filter)));
  const rows = chosen.map(({ count, path, rule, program, pid, uid }) => {
    const names = [path, rule, program === "" ? "-" : program].map(escapeTextName);
    return [rate(count, seconds), ...names, String(pid), String(uid)];
  });
  if (deniedUnnamed > 0) rows.push([rate(deniedUnnamed, seconds), "(too many in a second to name them)", "", "", "", ""]);
  return { head: ["DENIED", "PATH, A SECOND", "RULE", "PROGRAM", "PID", "UID"], rows };
}

function copyUps({ now }: Interval, { filter }: View): Section {
  const underWay = now.copyUps.underWay.filter(({ path }) => path.includes(filter));
  const rows = underWay.map(({ path, sizeBytes, copiedBytes, elapsedMs }) => {
    const done = sizeBytes === 0 ? 1 : Math.min(1, copiedBytes / sizeBytes);
    const bar = "#".repeat(Math.floor(done * BAR)).padEnd(BAR, ".");
    return [
      `${Math.floor(done * 100)} %`,
      bar,
      `${bytes(copiedBytes)} of ${bytes(sizeBytes)}`,
      `${Math.round(elapsedMs / 1000)} s`,
      escapeTextName(path),
    ];
  });
  return { head: ["COPY-UP", "", "BYTES", "SINCE", "PATH"], rows };
}

/** Shortens the longest table until all of them fit: on a small terminal each still shows its first row. */
function fitted(sections: readonly Section[], room: number): Section[] {
  const fitted = sections.map(({ head, rows }) => ({ head, rows: rows.slice(0, Number.isFinite(room) ? undefined : SHOWN_ROWS) }));
  const taken = (): number => fitted.reduce((sum, { rows }) => sum + 2 + rows.length, 0);
  while (fitted.length > 0 && taken() > room) {
    const longest = fitted.reduce((one, other) => (other.rows.length > one.rows.length ? other : one));
    if (longest.rows.length <= 1) break;
    longest.rows.pop();
  }
  return fitted;
}

export interface Look {
  view: View;
  /** The height in lines. */
  rows: number;
  /** Shows the line of keys. */
  keys: boolean;
  /** The reason why the mount does not answer. The rest of the frame shows the last report. */
  away?: string | undefined;
}

const PLAIN: Look = { view: FIRST_VIEW, rows: Number.POSITIVE_INFINITY, keys: false };

/** `span` describes the period: "every 2 s". */
export function frame(interval: Interval, span: string, { view, rows, keys, away }: Look = PLAIN): string[] {
  const { now } = interval;
  const how = away ?? `${now.state}, ${now.engine}, ${now.passthrough ? "passthrough on" : "passthrough off"}; ${span}`;
  const top = [`${escapeTextName(now.mountpoint)}  ${escapeLine(how)}`, keys ? escapeLine(keyLine(view)) : "", ...summary(interval)];
  const tables = [
    copyUps(interval, view),
    operations(interval, view.sort),
    rules(interval, view),
    denied(interval, view),
    paths(interval, view),
  ];
  const shown = fitted(
    tables.filter((section) => section.rows.length > 0),
    rows - top.length,
  );
  return [...top, ...shown.flatMap((section) => ["", ...table(section.head, section.rows)])];
}
