/** Everything a run found, as JSON, and a plot a group, in one directory. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchReport } from "./bench-report.js";
import { drawPlot } from "./draw-plot.js";

export function writeResults(folder: string, report: BenchReport): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "results.json"), `${JSON.stringify(report, null, 1)}\n`);
  const names = report.subjects.map(({ name }) => name);
  for (const group of ["metadata", "data", "work"] as const) {
    const results = report.results.filter((result) => result.group === group);
    if (results.length > 0) writeFileSync(join(folder, `${group}.svg`), drawPlot(group, results, names, report.base));
  }
}
