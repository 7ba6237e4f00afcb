/** Everything a run found, as JSON, a plot a group and file system, and tables in a page that asks for them. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { BenchError, messageOf } from "../bench-error.js";
import { type BenchReport, conditionsOf, plotName } from "./bench-report.js";
import { drawPlot } from "./draw-plot.js";
import { renderPage } from "./markdown.js";
import { GROUP_TITLES, GROUPS } from "./tables.js";

function writePlots(folder: string, report: BenchReport): void {
  const names = report.subjects.map(({ name }) => name);
  for (const storage of report.storages) {
    for (const group of GROUPS) {
      const own = storage.results.filter((result) => result.group === group);
      const title = `${GROUP_TITLES[group]}, layers on ${conditionsOf(storage)}`;
      if (own.length > 0) writeFileSync(join(folder, `${plotName(group, storage)}.svg`), drawPlot(title, own, names, report.base));
    }
  }
}

/** Plots into `folder`, and the page beside it, FOLDER.md, if there is one. */
export function renderResults(folder: string, report: BenchReport): void {
  writePlots(folder, report);
  const page = `${resolve(folder)}.md`;
  if (existsSync(page)) writeFileSync(page, renderPage(readFileSync(page, "utf8"), report, basename(folder)));
}

export function writeResults(folder: string, report: BenchReport): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "results.json"), `${JSON.stringify(report, null, 1)}\n`);
  renderResults(folder, report);
}

/** @throws BenchError 2 if there are none */
export function readResults(folder: string): BenchReport {
  const file = join(folder, "results.json");
  try {
    return JSON.parse(readFileSync(file, "utf8")) as BenchReport;
  } catch (error) {
    throw new BenchError(2, `${file}: ${messageOf(error)}: name a directory that --out was given`, { cause: error });
  }
}
