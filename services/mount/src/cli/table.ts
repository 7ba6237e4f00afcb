/** Columns for a terminal. */

/** Names are chosen by others: what a terminal would obey is shown as "?". */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}

/** Lines, each column as wide as its widest cell. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const shown = rows.map((row) => row.map(printable));
  const widths = head.map((title, column) => Math.max(title.length, ...shown.map((row) => (row[column] ?? "").length)));
  return [head, ...shown].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] as number))
      .join("  ")
      .trimEnd(),
  );
}
