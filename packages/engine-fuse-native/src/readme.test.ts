import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { engineCapabilities } from "./capabilities.js";

test("the table of limits in README.md is the one in capabilities.ts", () => {
  const rows = Object.entries(engineCapabilities).flatMap(([name, capability]) =>
    capability.has ? [] : [`| ${name} | ${capability.why} |`],
  );
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  expect(readme.split("\n").filter((line) => /^\| [a-z][A-Za-z0-9]+ \|/.test(line))).toEqual(rows);
});
