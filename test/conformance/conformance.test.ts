/**
 * The same cases on kernel overlayfs and on Sluice over equal layers. Sluice runs them granted, mediated, and granted while
 * the kernel forgets the mount's inodes and names after each call. The test compares every call's result, the merged tree, the upper layer on the
 * disk, and the merged tree of the other implementation over that upper layer. It checks that no lower layer changed. `npm test` runs
 * some of the random walks, half of the cases mediated, and a sixth on a mount that forgets, drawn by SLUICE_SEED; `npm run test:soak conformance` runs all.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { drawnCases, mountsShareProcess, requires, soakBudgetMs } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { allCases } from "./cases/all-cases.js";
import { type Case, directoryName } from "./cases/case.js";
import { randomWalkCases } from "./cases/random-walk.js";
import { asLines, outcomeOf, withDifferences } from "./expected-outcome.js";
import { type Engine, type Outcome, runEngine } from "./run/run-engine.js";

mountsShareProcess();

const HERE = fileURLToPath(new URL(".", import.meta.url));
const RUN_MS = 600_000;
const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "command perl");
const only = process.env["SLUICE_CONFORMANCE_CASES"];
const isWhole = only !== undefined || soakBudgetMs(0) > 0;
const FEW_WALKS = 4;
const seed = chooseSeed();
const cases = chooseCases();
const SLUICE = ["granted", "mediated", "forgetful"] as const;
/** Every case runs granted. The sweep of test/differential has every call mediated, and forgotten after it, in any run. */
const casesOf = {
  kernel: cases,
  granted: cases,
  mediated: isWhole ? cases : drawnCases(cases, Math.ceil(cases.length / 2), seed),
  forgetful: isWhole ? cases : drawnCases(cases, Math.ceil(cases.length / 6), seed + 1),
};
/** Shown by the other implementation, too. Another engine's upper layer is compared with the kernel's, which Sluice shows. */
const REMOUNTED: readonly Engine[] = isWhole ? ["kernel", ...SLUICE] : ["kernel", "granted"];
const outcomes = new Map<Engine, Outcome>();

function chooseCases(): readonly Case[] {
  if (only !== undefined) return allCases.filter(({ name }) => new RegExp(only).test(name));
  const walks = drawnCases(randomWalkCases, FEW_WALKS, seed);
  return allCases.filter((one) => !randomWalkCases.includes(one) || walks.includes(one));
}

function outcome(engine: Engine): Outcome {
  const found = outcomes.get(engine);
  if (found === undefined) throw new Error(`the run on ${engine} did not come to an end`);
  return found;
}

describe("conformance with kernel overlayfs", () => {
  beforeAll(async () => {
    // The cases run in processes of their own, which cannot load TypeScript.
    execFileSync(process.execPath, [`${HERE}../../node_modules/typescript/bin/tsc`, "-p", HERE], { stdio: "inherit" });
    const namesFor = (engine: keyof typeof casesOf): string[] => casesOf[engine].map(({ name }) => directoryName(name));
    // Two at a time, as each waits for its own calls most of the time.
    for (const pair of [
      ["kernel", "forgetful"],
      ["granted", "mediated"],
    ] as const) {
      for (const [engine, found] of await Promise.all(
        pair.map(async (one) => [one, await runEngine(one, namesFor(one), { remounts: REMOUNTED.includes(one) })] as const),
      ))
        outcomes.set(engine, found);
    }
  }, RUN_MS);

  test("names of cases are names of directories", () => {
    expect(new Set(allCases.map(({ name }) => directoryName(name))).size).toBe(allCases.length);
  });

  for (const engine of SLUICE) {
    for (const one of casesOf[engine]) {
      test(`${engine}: ${one.name}`, () => {
        const expected = withDifferences(outcomeOf(outcome("kernel"), one), one, engine);
        expect(asLines(outcomeOf(outcome(engine), one))).toEqual(asLines(expected));
      });
    }
  }

  for (const engine of REMOUNTED) {
    test(`${engine}: the other implementation shows the same tree over the same layers`, () => {
      const { merged, remounted } = outcome(engine);
      expect(remounted).toEqual(merged);
    });
  }

  for (const engine of SLUICE) {
    test(`${engine}: no lower layer was touched`, () => {
      const { lowersBefore, lowersAfter } = outcome(engine);
      expect(lowersAfter).toEqual(lowersBefore);
    });
  }
});
