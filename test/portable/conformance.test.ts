/**
 * The cases of test/conformance on the portable engine: every call, the merged tree and the upper layer must agree with the
 * kernel, except in the lines that known-differences.ts lists with the limit of the engine that explains them. `npm test` runs half of the
 * cases, drawn by SLUICE_SEED, and `npm run test:soak conformance` all of them.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { engineCapabilities } from "@sluice/engine-fuse-native";
import { drawnCases, requires } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { allCases } from "../conformance/cases/all-cases.js";
import { type Case, directoryName } from "../conformance/cases/case.js";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { outcomeOf, withDifferences } from "../conformance/expected-outcome.js";
import { type Outcome, runEngine } from "../conformance/run/run-engine.js";
import type { Snapshot } from "../conformance/tree/snapshot-tree.js";
import { differingLines, inMilliseconds } from "./differing-lines.js";
import { excludedCases, knownDifferences } from "./known-differences.js";

const CONFORMANCE = fileURLToPath(new URL("../conformance/", import.meta.url));
const RUN_MS = 600_000;
const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "command perl", "fuse-native");
const report = process.env["SLUICE_PORTABLE_REPORT"];
const only = process.env["SLUICE_CONFORMANCE_CASES"];
const excluded = (name: string): boolean => excludedCases.some(({ case: pattern }) => pattern.test(name));
const isWanted = ({ name }: Case): boolean => !excluded(name) && (only === undefined || new RegExp(only).test(name));
const wanted = allCases.filter(isWanted);
const isWhole = only !== undefined || report !== undefined;
const cases = isWhole ? wanted : drawnCases(wanted, Math.ceil(wanted.length / 3), chooseSeed());

describe("conformance of the portable engine", () => {
  let kernel: Outcome;
  let portable: Outcome;
  const found: Record<string, string[]> = {};

  beforeAll(async () => {
    execFileSync(process.execPath, [`${CONFORMANCE}../../node_modules/typescript/bin/tsc`, "-p", CONFORMANCE], { stdio: "inherit" });
    const names = cases.map(({ name }) => directoryName(name));
    // test/conformance looks at the kernel's layers by Sluice.
    [kernel, portable] = await Promise.all([runEngine("kernel", names, { remounts: false }), runEngine("portable", names)]);
  }, RUN_MS);

  for (const one of cases) {
    test(one.name, () => {
      const expected = withDifferences(outcomeOf(kernel, one), one, "portable");
      const differing = differingLines(expected, outcomeOf(portable, one));
      if (report !== undefined) {
        found[one.name] = differing.map(({ line, expected: wanted, got }) => `${line}  |  ${wanted}  |  ${got}`);
        writeFileSync(report, JSON.stringify(found, null, 1));
      }
      const known = knownDifferences.filter((difference) => difference.case === one.name).flatMap(({ lines }) => lines);
      expect(differing.map(({ line }) => line).toSorted()).toEqual([...known].toSorted());
    });
  }

  test("every known difference belongs to an existing case and a declared limit", () => {
    const names = allCases.map(({ name }) => name);
    for (const { case: name } of knownDifferences) expect(names).toContain(name);
    for (const { case: pattern } of excludedCases) expect(names.some((name) => pattern.test(name))).toBe(true);
    for (const { limits } of [...knownDifferences, ...excludedCases]) {
      expect(limits.length).toBeGreaterThan(0);
      for (const limit of limits) expect(engineCapabilities[limit].has, limit).toBe(false);
    }
  });

  // A case that differs by a limit (names that cannot be shown, times before 1970) shows another tree.
  const differing = new Set(knownDifferences.map(({ case: name }) => directoryName(name)));

  test("the kernel shows the same tree over the same layers, and no lower layer changed", () => {
    const plain = (snapshot: Snapshot): [string, string][] =>
      Object.entries(snapshot)
        .filter(([path]) => !differing.has(path.split("/")[0] as string))
        .map(([path, line]) => [path, inMilliseconds(line)]);
    expect(plain(portable.remounted)).toEqual(plain(portable.merged));
    expect(portable.lowersAfter).toEqual(portable.lowersBefore);
  });
});
