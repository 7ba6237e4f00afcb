/** The whole report as text: what was run and on what, the tables, memory, scaling, and the figures if asked for. */
import { judgeFigures } from "./figures.js";
import { spreadOf } from "../run/statistics.js";
import type { ScalePoint } from "../scale/scale-point.js";
import type { BenchReport } from "./bench-report.js";
import { formatTable } from "./format.js";
import { printProcessorTime, printResults } from "./print-results.js";

function printMachine({ machine, loadAtEnd, layersOn, profile, rounds, subjects, skipped }: BenchReport): string {
  const lines = [
    `Linux ${machine.kernel}, ${machine.cpus} × ${machine.cpu}, ${machine.memoryGib} GiB, node ${machine.node}`,
    `layers on ${layersOn}; profile ${profile}, ${rounds} rounds interleaved; load average ${machine.loadAverage.toFixed(2)} before the run, ${loadAtEnd.toFixed(2)} at its end; FUSE over io_uring: ${machine.fuseOverUring}`,
    ...Object.entries(machine.versions).map(([name, version]) => `  ${name}: ${version}`),
    ...subjects.map(({ name, about }) => `  ${name}: ${about}`),
    ...skipped.map(({ name, why }) => `  ${name}: skipped: ${why}`),
  ];
  return lines.join("\n");
}

const mib = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;

function printMemory(memory: BenchReport["memory"]): string {
  const rows = Object.entries(memory).filter(([, { idleBytes }]) => idleBytes > 0);
  if (rows.length === 0) return "";
  const cells = rows.map(([name, { idleBytes, afterBytes }]) => [name, mib(idleBytes), mib(afterBytes)]);
  return `Resident memory of each daemon with its children\n${formatTable([["subject", "mounted", "after the rounds"], ...cells])}`;
}

function formatPoint({ values, unit }: ScalePoint): string {
  const { median } = spreadOf(values);
  return median >= 1000 ? `${Math.round(median)}` : `${median.toFixed(unit === "bytes" ? 0 : 1)}`;
}

function printScale(points: readonly ScalePoint[]): string {
  const keys = [...new Set(points.map(({ experiment, quantity, unit }) => `${experiment}, by ${quantity} (${unit})`))];
  const tables = keys.map((key) => {
    const own = points.filter(({ experiment, quantity, unit }) => `${experiment}, by ${quantity} (${unit})` === key);
    const amounts = [...new Set(own.map(({ at }) => at))];
    const names = [...new Set(own.map(({ subject }) => subject))];
    const rows = names.map((name) => {
      const cells = amounts.map((at) => own.find((point) => point.subject === name && point.at === at));
      return [name, ...cells.map((point) => (point ? formatPoint(point) : "–"))];
    });
    return `${key}\n${formatTable([["", ...amounts.map(String)], ...rows])}`;
  });
  return tables.join("\n\n");
}

function printFigures(report: BenchReport): string {
  const rows = judgeFigures(report).map(({ what, atLeast, found, verdict }) => [what, atLeast, found, verdict]);
  return `Figures (reported, never an error)\n${formatTable([["figure", "at least", "found", ""], ...rows])}`;
}

export function printReport(report: BenchReport, withFigures: boolean): string {
  const names = report.subjects.map(({ name }) => name);
  const parts = [
    printMachine(report),
    printResults(report.results, names, report.base),
    printProcessorTime(report.results, names),
    printMemory(report.memory),
    printScale(report.scale),
    withFigures ? printFigures(report) : "",
  ];
  return `${parts.filter(Boolean).join("\n\n")}\n`;
}
