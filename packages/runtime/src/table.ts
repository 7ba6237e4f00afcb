/** Columns for a terminal. */
import { escapeLine } from "./escape-name.js";

/** Lines, each column as wide as its widest cell. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const shown = rows.map((row) => row.map(escapeLine));
  const widths = head.map((title, column) => Math.max(title.length, ...shown.map((row) => (row[column] ?? "").length)));
  return [head, ...shown].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] as number))
      .join("  ")
      .trimEnd(),
  );
}
