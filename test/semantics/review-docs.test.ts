/** Each test that docs/passthrough-review.md names exists. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const ROOT = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), "utf8");

test("docs/passthrough-review.md names only tests that exist", () => {
  const rows = read("docs/passthrough-review.md")
    .split("\n")
    .filter((line) => /^\| [a-zA-Z]/.test(line))
    .slice(1);
  expect(rows.length).toBe(10);
  for (const row of rows) {
    const [, path = "", title = ""] = /`([^`]+\.test\.ts)`: (?:probe )?`?([^`|]+?)`? \|$/.exec(row) ?? [];
    const source = title.includes("AIO") ? read("test/semantics/probe/pipes.c") : read(path);
    expect(source, row).toContain(title);
  }
});
