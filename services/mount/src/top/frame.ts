/** One picture of what goes on, as lines for a terminal or a pipe. */
import { printable, table } from "../cli/table.js";
import type { Interval } from "./rates.js";
import { percentileMs } from "./rates.js";
import type { DurationCounts } from "../telemetry/hot-metrics.js";

const SHOWN = { operations: 8, rules: 6, paths: 8, copyUps: 6 } as const;
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

/** "0.25": none of that share took longer than this many ms. */
function latency(durations: DurationCounts, share: number): string {
  const ms = percentileMs(durations, share);
  if (ms === undefined) return "-";
  return ms === Number.POSITIVE_INFINITY ? `>${durations.boundsMs.at(-1)}` : String(ms);
}

/** "96 % passthrough, 4 % mediated" of what there is; "none". */
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

function summary({ now, seconds, requests, opens, decisions, decisionDurations, mediatedBytes, copyUpBytes }: Interval): string[] {
  const count = requests.reduce((sum, each) => sum + each.count, 0);
  const errors = requests.reduce((sum, each) => sum + each.errors, 0);
  const openNow = Object.entries(now.openNow).filter(([, open]) => open > 0);
  const each = (bytesMoved: number): string => `${bytes(bytesMoved / seconds)}/s`;
  const waits = [0.5, 0.9, 0.99].map((share) => `p${share * 100} ${latency(decisionDurations, share)}`);
  return [
    `requests    ${rate(count, seconds)}/s, ${rate(errors, seconds)}/s with an error, ${now.inFlight} waiting`,
    `opens       ${rate(total(opens), seconds)}/s: ${shares(opens)}`,
    `open now    ${openNow.length === 0 ? "none" : openNow.map(([mode, open]) => `${open} ${mode}`).join(", ")}; ${now.grants} grants in force, ${now.revoked} of them revoked`,
    `decisions   ${rate(total(decisions), seconds)}/s: ${shares(sumBy(decisions, 0))}; from ${shares(sumBy(decisions, 1))}`,
    `asked       within ms: ${waits.join(", ")}`,
    `mediated    ${each(mediatedBytes["read"] ?? 0)} read, ${each(mediatedBytes["write"] ?? 0)} written; ${each(copyUpBytes)} copied up`,
  ];
}

function operations({ requests, seconds }: Interval): string[] {
  const rows = requests.slice(0, SHOWN.operations).map(({ operation, count, errors, durations }) => {
    const waits = [0.5, 0.9, 0.99].map((share) => latency(durations, share));
    return [operation, rate(count, seconds), rate(errors, seconds), ...waits];
  });
  return rows.length === 0 ? [] : ["", ...table(["OPERATION", "A SECOND", "ERRORS", "P50 MS", "P90", "P99"], rows)];
}

function rules({ rules: all, seconds }: Interval): string[] {
  const rows = all.slice(0, SHOWN.rules).map(({ rule, counts }) => {
    return [rule, ...["grant", "mediate", "deny"].map((effect) => rate(counts[effect] ?? 0, seconds))];
  });
  return rows.length === 0 ? [] : ["", ...table(["RULE, A SECOND", "GRANT", "MEDIATE", "DENY"], rows)];
}

function paths({ paths: all, seconds }: Interval): string[] {
  const rows = all.slice(0, SHOWN.paths).map(({ path, count }) => [rate(count, seconds), path]);
  return rows.length === 0 ? [] : ["", ...table(["OPENS", "HOTTEST PATHS, A SECOND"], rows)];
}

function copyUps({ now }: Interval): string[] {
  const { underWay } = now.copyUps;
  const rows = underWay.slice(0, SHOWN.copyUps).map(({ path, sizeBytes, copiedBytes, elapsedMs }) => {
    const done = sizeBytes === 0 ? 1 : Math.min(1, copiedBytes / sizeBytes);
    const bar = "#".repeat(Math.floor(done * BAR)).padEnd(BAR, ".");
    return [`${Math.floor(done * 100)} %`, bar, `${bytes(copiedBytes)} of ${bytes(sizeBytes)}`, `${Math.round(elapsedMs / 1000)} s`, path];
  });
  return rows.length === 0 ? [] : ["", ...table(["COPY-UP", "", "BYTES", "SINCE", "PATH"], rows)];
}

/** `span` says over what time: "every 2 s". */
export function frame(interval: Interval, span: string): string[] {
  const { now } = interval;
  const passthrough = now.passthrough ? "passthrough on" : "passthrough off";
  const head = `${printable(now.mountpoint)}  ${now.state}, ${now.engine}, ${passthrough}; ${span}`;
  return [head, "", ...summary(interval), ...copyUps(interval), ...operations(interval), ...rules(interval), ...paths(interval)];
}
