/** The results of a run as tables, for a terminal and for the docs alike. */
import { type PhaseResult, ratioOf, valuesOf } from "../run/measurements.js";
import { spreadOf } from "../run/statistics.js";
import { type BenchReport, conditionsOf, type StorageReport } from "./bench-report.js";
import { type FigureOutcome, judgeFigures } from "./figures.js";
import { formatRatio, formatValue } from "./format.js";

export interface Table {
  title: string;
  /** The first is the head. */
  rows: readonly (readonly string[])[];
}

export const GROUP_TITLES = { metadata: "Names and attributes", data: "File data (fio)", work: "Real work" } as const;
type GroupName = keyof typeof GROUP_TITLES;
export const GROUPS: readonly GroupName[] = ["metadata", "data", "work"];

function cellOf(result: PhaseResult, subject: string, base: string): string {
  const ratio = ratioOf(result, subject, base);
  if (ratio) return formatRatio(ratio);
  const values = valuesOf(result, subject);
  if (values.length > 0) return formatValue(spreadOf(values).median, result.unit);
  const note = result.notes[subject];
  return note === undefined || note.startsWith("skipped: ") ? "–" : "broke";
}

function rowOf(result: PhaseResult, subjects: readonly string[], base: string): string[] {
  const baseValues = valuesOf(result, base);
  const absolute = baseValues.length === 0 ? "–" : formatValue(spreadOf(baseValues).median, result.unit);
  return [result.name, absolute, ...subjects.map((subject) => cellOf(result, subject, base))];
}

/** Above 1 is faster than the base; in parentheses the quartiles of the ratios within a round. Undefined where the group was not run. */
export function groupTable(group: GroupName, storage: StorageReport, report: BenchReport): Table | undefined {
  const results = storage.results.filter((result) => result.group === group);
  if (results.length === 0) return undefined;
  const others = report.subjects.map(({ name }) => name).filter((name) => name !== report.base);
  const rows = results.map((result) => rowOf(result, others, report.base));
  const title = `${GROUP_TITLES[group]}, layers on ${conditionsOf(storage)}: times as fast as ${report.base}`;
  return { title, rows: [["phase", report.base, ...others], ...rows] };
}

/** The processor time of each daemon: the part of a round trip that a busy machine does not blur. */
export function processorTable(storage: StorageReport, { subjects }: BenchReport): Table | undefined {
  const { results } = storage;
  const spent = (result: PhaseResult, subject: string): number => spreadOf(result.daemonCpuMs[subject] ?? []).median;
  const daemons = subjects.map(({ name }) => name).filter((name) => results.some((result) => spent(result, name) > 0));
  if (daemons.length === 0) return undefined;
  const cell = (value: number): string => (Number.isNaN(value) ? "–" : value.toFixed(1));
  const rows = results.map((result) => [result.name, ...daemons.map((subject) => cell(spent(result, subject)))]);
  const title = `Processor time of the daemons, layers on ${conditionsOf(storage)}, ms a round (what a phase makes and removes is in it)`;
  return { title, rows: [["phase", ...daemons], ...rows] };
}

const mib = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;

export function memoryTable(storage: StorageReport): Table | undefined {
  const rows = Object.entries(storage.memory).filter(([, { idleBytes }]) => idleBytes > 0);
  if (rows.length === 0) return undefined;
  const cells = rows.map(([name, { idleBytes, afterBytes }]) => [name, mib(idleBytes), mib(afterBytes)]);
  return {
    title: `Resident memory of each daemon with its children, layers on ${conditionsOf(storage)}`,
    rows: [["subject", "mounted", "after the rounds"], ...cells],
  };
}

function formatAmount(values: readonly number[], unit: string): string {
  const { median } = spreadOf(values);
  if (unit === "bytes" && median >= 1024 ** 2) return mib(median);
  return median >= 100 || unit === "bytes" ? `${Math.round(median)}` : `${Number(median.toPrecision(2))}`;
}

export function scaleTables({ scale }: BenchReport): Table[] {
  const titleOf = ({ experiment, quantity, unit }: BenchReport["scale"][number]): string => `${experiment}, by ${quantity} (${unit})`;
  return [...new Set(scale.map(titleOf))].map((title) => {
    const own = scale.filter((point) => titleOf(point) === title);
    const amounts = [...new Set(own.map(({ at }) => at))];
    const rows = [...new Set(own.map(({ subject }) => subject))].map((name) => {
      const points = amounts.map((at) => own.find((point) => point.subject === name && point.at === at));
      return [name, ...points.map((point) => (point ? formatAmount(point.values, point.unit) : "–"))];
    });
    return { title, rows: [["", ...amounts.map(String)], ...rows] };
  });
}

export function costsTable({ costs }: BenchReport): Table | undefined {
  if (costs.length === 0) return undefined;
  const titleOf = ({ cost, unit }: BenchReport["costs"][number]): string => `${cost} (${unit})`;
  const subjects = [...new Set(costs.map(({ subject }) => subject))];
  const rows = [...new Set(costs.map(titleOf))].map((title) => {
    const points = subjects.map((subject) => costs.find((point) => titleOf(point) === title && point.subject === subject));
    return [title, ...points.map((point) => (point ? formatAmount(point.values, point.unit) : "–"))];
  });
  return { title: "Costs beside speed", rows: [["", ...subjects], ...rows] };
}

/** The value found; a short one is marked by the number of its cause, "0.85 short (3)". */
function judgementOf({ found, outcome, withinSpread, cause }: FigureOutcome, causes: readonly string[]): string {
  if (outcome !== "short") return found;
  return `${found} ${withinSpread ? "short, within the spread" : "short"} (${causes.indexOf(cause) + 1})`;
}

/** A row for each figure and phase, with a column for each file system of the layers. The name of a figure is in its first row. */
function figuresByLayers(outcomes: readonly FigureOutcome[], columns: readonly string[], causes: readonly string[]): Table {
  let previous = "";
  const rows = [...new Set(outcomes.map(({ what }) => what))].map((what) => {
    const own = columns.map((on) => outcomes.find((one) => one.what === what && one.on === on));
    const [figure = "", phase = ""] = what.split(": ");
    const head = figure === previous ? ["", phase, ""] : [figure, phase, own.find(Boolean)?.wanted || "–"];
    previous = figure;
    return [...head, ...own.map((one) => (one ? judgementOf(one, causes) : "–"))];
  });
  return { title: "Figures, by file system of the layers", rows: [["figure", "phase", "wanted", ...columns], ...rows] };
}

/** The judgements, reported and never an error, and the causes to which they point by number. */
export function figureTables(report: BenchReport): { tables: readonly Table[]; causes: readonly string[] } {
  const outcomes = judgeFigures(report);
  const causes = [...new Set(outcomes.map(({ cause }) => cause).filter(Boolean))];
  const columns = report.storages.filter(({ busy }) => !busy).map(conditionsOf);
  const [byLayers, others] = [true, false].map((wanted) => outcomes.filter(({ on }) => columns.includes(on) === wanted));
  const rows = (others ?? []).map((one) => [one.what, one.wanted || "–", judgementOf(one, causes)]);
  const single = { title: "Other figures", rows: [["figure", "wanted", "found"], ...rows] };
  return { tables: [figuresByLayers(byLayers ?? [], columns, causes), single], causes };
}
