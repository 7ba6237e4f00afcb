/** The whole report as text: the run and its machine, the tables, and the figures if asked for. */
import { type BenchReport, conditionsOf } from "./bench-report.js";
import { formatTable } from "./format.js";
import { costsTable, figureTables, GROUPS, groupTable, memoryTable, processorTable, scaleTables, type Table } from "./tables.js";

/** The run and its machine: a line each. */
export function machineLines({ machine, loadAtEnd, minutes, storages, profile, skipped }: BenchReport): string[] {
  const rounds = storages.map((storage) => `${storage.rounds} with the layers on ${conditionsOf(storage)}`).join(", ");
  return [
    `Linux ${machine.kernel}, ${machine.cpus} × ${machine.cpu}, ${machine.memoryGib} GiB, node ${machine.node}`,
    `profile ${profile}, interleaved rounds: ${rounds}; ${minutes} minutes in all`,
    `load average ${machine.loadAverage.toFixed(2)} before the run, ${loadAtEnd.toFixed(2)} at its end, its own; FUSE over io_uring: ${machine.fuseOverUring}`,
    ...(machine.idle === undefined ? [] : [machine.idle]),
    ...Object.entries(machine.versions).map(([name, version]) => `${name}: ${version}`),
    ...skipped.map(({ name, why }) => `${name}: skipped: ${why}`),
  ];
}

function textOf({ title, rows }: Table): string {
  return `${title}\n${formatTable(rows)}`;
}

export function printReport(report: BenchReport, withFigures: boolean): string {
  const [first = "", ...more] = [...machineLines(report), ...report.subjects.map(({ name, about }) => `${name}: ${about}`)];
  const tables = [
    ...report.storages.flatMap((storage) => [
      ...GROUPS.map((group) => groupTable(group, storage, report)),
      processorTable(storage, report),
      memoryTable(storage),
    ]),
    ...scaleTables(report),
    costsTable(report),
  ];
  const figures = withFigures ? figureTables(report) : undefined;
  const parts = [[first, ...more.map((line) => `  ${line}`)].join("\n"), ...tables.flatMap((table) => (table ? [textOf(table)] : []))];
  if (figures) parts.push(...figures.tables.map(textOf), figures.causes.map((cause, at) => `(${at + 1}) ${cause}`).join("\n"));
  return `${parts.join("\n\n")}\n`;
}
