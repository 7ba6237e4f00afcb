/** docs/differences.md agrees with the tables. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { differencesDocument } from "./compare/document-differences.js";

const DOCUMENT = fileURLToPath(new URL("../../docs/differences.md", import.meta.url));

test("docs/differences.md shows the tables", () => {
  if (process.env["SLUICE_WRITE_DOCS"] === "1") {
    mkdirSync(fileURLToPath(new URL("../../docs", import.meta.url)), { recursive: true });
    writeFileSync(DOCUMENT, differencesDocument());
  }
  expect(readFileSync(DOCUMENT, "utf8")).toBe(differencesDocument());
});
