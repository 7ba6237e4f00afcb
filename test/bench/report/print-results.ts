/** The tables of a run: what the base took, and how many times as fast everybody else was. */
import { type PhaseResult, ratioOf, valuesOf } from "../run/measurements.js";
import { spreadOf } from "../run/statistics.js";
import { formatRatio, formatTable, formatValue } from "./format.js";

const TITLES = { metadata: "Names and attributes", data: "File data (fio)", work: "Real work" } as const;

function cellOf(result: PhaseResult, subject: string, base: string): string {
  const ratio = ratioOf(result, subject, base);
  if (ratio) return formatRatio(ratio);
  const values = valuesOf(result, subject);
  if (values.length > 0) return formatValue(spreadOf(values).median, result.unit);
  return result.notes[subject]?.startsWith("skipped: ") ? "–" : "broke";
}

function rowOf(result: PhaseResult, subjects: readonly string[], base: string): string[] {
  const baseValues = valuesOf(result, base);
  const absolute = baseValues.length === 0 ? "–" : formatValue(spreadOf(baseValues).median, result.unit);
  return [result.name, absolute, ...subjects.map((subject) => cellOf(result, subject, base))];
}

/** One table a group. Above 1 is faster than the base; in parentheses the quartiles of the ratios within a round. */
export function printResults(results: readonly PhaseResult[], subjects: readonly string[], base: string): string {
  const others = subjects.filter((subject) => subject !== base);
  const groups = (["metadata", "data", "work"] as const).filter((group) => results.some((result) => result.group === group));
  const tables = groups.map((group) => {
    const rows = results.filter((result) => result.group === group).map((result) => rowOf(result, others, base));
    return `${TITLES[group]}: times as fast as ${base}\n${formatTable([["phase", base, ...others], ...rows])}`;
  });
  return tables.join("\n\n");
}

/** What each daemon spent on a processor: the part of a round trip that a busy machine does not blur. */
export function printProcessorTime(results: readonly PhaseResult[], subjects: readonly string[]): string {
  const spent = (result: PhaseResult, subject: string): number => spreadOf(result.daemonCpuMs[subject] ?? []).median;
  const daemons = subjects.filter((subject) => results.some((result) => spent(result, subject) > 0));
  if (daemons.length === 0) return "";
  const cell = (result: PhaseResult, subject: string): string => {
    const value = spent(result, subject);
    return Number.isNaN(value) ? "–" : value.toFixed(1);
  };
  const rows = results.map((result) => [result.name, ...daemons.map((subject) => cell(result, subject))]);
  return `Processor time of the daemons, ms a round (what a phase makes and removes is in it)\n${formatTable([["phase", ...daemons], ...rows])}`;
}
