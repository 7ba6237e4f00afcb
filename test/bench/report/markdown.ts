/** Rewrites the marked parts of a page from a report, and leaves the text between them alone. */
import { BenchError } from "../bench-error.js";
import { type BenchReport, plotName } from "./bench-report.js";
import { judgeFigures } from "./figures.js";
import { machineLines } from "./print-report.js";
import { costsTable, figureTables, GROUPS, groupTable, memoryTable, scaleTables, type Table } from "./tables.js";

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function tableOf({ rows }: Table): string {
  const [head = [], ...body] = rows;
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...body.map(line)].join("\n");
}

function headed(table: Table | undefined): string[] {
  return table ? [`#### ${table.title}`, tableOf(table)] : [];
}

/** Of each file system: its plots, which lie in `folder`, and its tables. */
function resultsOf(report: BenchReport, folder: string): string {
  const parts = report.storages.flatMap((storage) =>
    GROUPS.flatMap((group) => {
      const table = groupTable(group, storage, report);
      if (table === undefined) return [];
      // The heading says more: the line stays short.
      const plot = `![${table.title.split(":")[0]}](${folder}/${plotName(group, storage)}.svg)`;
      return [`#### ${table.title}`, plot, tableOf(table)];
    }),
  );
  return parts.join("\n\n");
}

/** An item of a list, broken at column 100. `begin`: "- " or "1. ". */
function item(begin: string, text: string): string {
  const lines: string[] = [begin.trimEnd()];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (longer.length <= 100) lines[lines.length - 1] = longer;
    else lines.push(" ".repeat(begin.length) + word);
  }
  return lines.join("\n");
}

function outcomesOf(report: BenchReport): string {
  const outcomes = judgeFigures(report);
  const count = (wanted: string): number => outcomes.filter(({ outcome }) => outcome === wanted).length;
  const line = `${count("met")} met, ${count("short")} short, ${count("not measured")} not measured.`;
  const { tables, causes } = figureTables(report);
  return [line, ...tables.flatMap(headed), "Causes:", causes.map((cause, at) => item(`${at + 1}. `, cause)).join("\n")].join("\n\n");
}

/** By the name in `<!-- measured: NAME -->`, which ends at `<!-- end of what was measured -->`. */
const PARTS: Readonly<Record<string, (report: BenchReport, folder: string) => string>> = {
  machine: (report) =>
    [
      `Taken at ${report.takenAt}.`,
      machineLines(report)
        .map((line) => item("- ", line))
        .join("\n"),
    ].join("\n\n"),
  subjects: (report) => report.subjects.map(({ name, about }) => item("- ", `${name}: ${about}`)).join("\n"),
  figures: outcomesOf,
  results: resultsOf,
  memory: (report) => report.storages.flatMap((storage) => headed(memoryTable(storage))).join("\n\n"),
  scale: (report) => scaleTables(report).flatMap(headed).join("\n\n"),
  costs: (report) => headed(costsTable(report)).join("\n\n"),
};

const MARKED = /(<!-- measured: (\w+) -->\n)[\s\S]*?(<!-- end of what was measured -->)/g;

/** @throws BenchError 2 for a part nobody makes */
export function renderPage(page: string, report: BenchReport, folder: string): string {
  return page.replace(MARKED, (_whole, begin: string, name: string, end: string) => {
    const part = PARTS[name];
    if (!part) throw new BenchError(2, `measured: ${name}: no such part: choose from ${Object.keys(PARTS).join(", ")}`);
    return `${begin}\n${part(report, folder) || "Not in this run."}\n\n${end}`;
  });
}
