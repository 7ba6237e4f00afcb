/** Numbers and columns as a terminal shows them. */
import type { Unit } from "../phases/phase.js";
import type { Spread } from "../run/statistics.js";

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value >= 0.1 ? value.toFixed(2) : value.toFixed(3);
}

export function formatValue(value: number, unit: Unit): string {
  if (unit === "ns/op") return value >= 1000 ? `${digits(value / 1000)} µs` : `${digits(value)} ns`;
  return `${digits(value)} ${unit}`;
}

/** "1.52 (1.47–1.60)", and of a single round "1.52". */
export function formatRatio({ median, low, high }: Spread): string {
  return low === high ? digits(median) : `${digits(median)} (${digits(low)}–${digits(high)})`;
}

/** Columns as wide as their widest cell; the first to the left, the rest to the right. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, at) => Math.max(...rows.map((row) => (row[at] ?? "").length)));
  const pad = (cell: string, at: number): string => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0));
  return rows.map((row) => row.map(pad).join("  ").trimEnd()).join("\n");
}
