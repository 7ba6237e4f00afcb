import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { optionTable } from "./option-table.js";

const ROOT = new URL("../../../../", import.meta.url);
const text = readFileSync(new URL("docs/overlay-options.md", ROOT), "utf8");
const [options = "", features = ""] = text.split("## What the overlay does");

/** The cells of each row of a Markdown table, head and rule left out. */
function rows(table: string): string[][] {
  return table
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| option |") && !line.startsWith("| what |"))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll("\\|", "|")),
    );
}

test("the documented options are those of the table, with their values and what is refused", () => {
  const documented = rows(options).map(([name, values, , refused]) => [name, values, refused]);
  const built = optionTable.map(({ name, values, apply, refused }) => {
    const taken = values === undefined ? "" : `\`${values}\``;
    return [`\`${name}\``, apply === undefined ? "none" : taken, refused ?? ""];
  });
  const sorted = (list: (string | undefined)[][]): string[] => list.map((row) => row.join(" ; ")).sort();
  expect(sorted(documented)).toEqual(sorted(built));
});

test("each option says what it does, or why it is refused", () => {
  expect(rows(options).filter(([, , does, refused]) => does === "" && refused === "")).toEqual([]);
});

test("every documented feature of the overlay names a test that exists", () => {
  const shown = rows(features).map((row) => row[4] ?? "");
  expect(shown.length).toBeGreaterThan(20);
  const missing = shown.filter((cell) => cell !== "–" && !existsSync(fileURLToPath(new URL(cell.replaceAll("`", ""), ROOT))));
  expect(missing).toEqual([]);
});
