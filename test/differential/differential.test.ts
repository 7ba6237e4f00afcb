/** Runs random sequences on Sluice and on the kernel's overlayfs; see README.md in this folder. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { drawnCases, mountsShareProcess, requires, soakBudgetMs } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { newReport, runAndReport } from "./campaign.js";
import { compareRound, describeFailure } from "./compare/compare.js";
import { drawRound, type Round, sweepRound } from "./generate/draw-round.js";
import { withinLimits } from "./generate/within-limits.js";
import { compilePrograms } from "./run/compile-programs.js";
import { runRound } from "./run/round.js";
import { formatOperation, isControl } from "./script/operation.js";
import { type Mode, parseScript, type Setting } from "./script/script.js";

mountsShareProcess();

const { describe, test } = requires(
  "/dev/fuse",
  "CAP_SYS_ADMIN",
  "kernel overlayfs",
  "loop devices",
  "command perl",
  "command mkfs.ext4",
  "command fusermount",
);
const SHAPE = { sequences: 40, operations: 60 };
const CI_SEEDS = [1, 2, 3, 4, 5];
const FEW_SEEDS = 1;
const SWEPT: readonly Setting[] = [
  { mode: "mediated", ground: "disk", lowers: 1, readOnly: false, forgetful: false, index: true },
  { mode: "granted", ground: "disk", lowers: 1, readOnly: false, forgetful: true, index: false },
  { mode: "mixed", ground: "disk", lowers: 1, readOnly: false, forgetful: false, index: true, metacopy: true },
];
const REGRESSIONS = fileURLToPath(new URL("regressions/", import.meta.url));
const ROUND_MS = 300_000;

const soakMs = soakBudgetMs(0);
const script = process.env["SLUICE_DIFFERENTIAL_SCRIPT"];
const seed = process.env["SLUICE_DIFFERENTIAL_SEED"];
const mode = process.env["SLUICE_DIFFERENTIAL_MODE"] as Mode | undefined;

async function replay(file: string): Promise<string[]> {
  const { setting, sequence } = parseScript(readFileSync(file, "utf8"));
  const sequences = [{ name: "s0", ...sequence }];
  const result = await runRound(setting, sequences);
  for (const { operation, kernel, sluice } of result.steps.get("s0") ?? [])
    console.log(`${formatOperation(operation)}\n  kernel ${JSON.stringify(kernel.results)}\n  sluice ${JSON.stringify(sluice.results)}`);
  return compareRound(setting, sequences, result).failures.map(describeFailure);
}

/** The scripts that can run in one round, each in a directory of its own: only the number of lower layers may differ. */
function regressionRounds(): Round[] {
  const rounds = new Map<string, Round>();
  for (const name of readdirSync(REGRESSIONS).filter((file) => file.endsWith(".script"))) {
    const { setting, sequence } = parseScript(readFileSync(`${REGRESSIONS}${name}`, "utf8"));
    const controls = sequence.operations.filter(({ call }) => isControl(call)).map(({ call }) => call);
    const key = JSON.stringify([{ ...setting, lowers: 0 }, controls]);
    const { setting: first, sequences } = rounds.get(key) ?? { setting, sequences: [] };
    const lowers = Math.max(first.lowers, setting.lowers);
    const named = { name: name.replace(/\.script$/, ""), ...sequence };
    rounds.set(key, { seed: 0, setting: { ...setting, lowers }, sequences: [...sequences, named] });
  }
  return [...rounds.values()];
}

/** Returns the given seeds, or new ones until the budget is spent. */
function* seeds(): Generator<number> {
  if (seed !== undefined) yield* seed.split(",").map(Number);
  else if (soakMs === 0) yield* drawnCases(CI_SEEDS, FEW_SEEDS, chooseSeed());
  else for (const startMs = Date.now(); Date.now() < startMs + soakMs; ) yield Date.now() % 1_000_000_007;
}

function draw(one: number): Round {
  const round = drawRound(one, { ...SHAPE, ...(mode === undefined ? {} : { setting: { mode } }) });
  return mode === "portable" ? withinLimits(round) : round;
}

function fixedBudget(): void {
  for (const { setting, sequences } of regressionRounds()) {
    test(
      `finds no difference in these regressions: ${sequences.map(({ name }) => name).join(", ")}`,
      async () => {
        const result = await runRound(setting, sequences);
        expect([...result.steps.keys()]).toEqual(sequences.map(({ name }) => name));
        expect(compareRound(setting, sequences, result).failures.map(describeFailure)).toEqual([]);
      },
      ROUND_MS,
    );
  }

  test(
    "every call has the same result in every state of an object",
    async () => {
      const report = newReport();
      for (const [index, setting] of SWEPT.entries()) await runAndReport(report, sweepRound(index + 1, setting));
      console.log(report.coverage.table());
      expect(report.failures.join("\n\n")).toBe("");
      expect(report.coverage.empty()).toEqual([]);
      expect(report.coverage.unexpected()).toEqual([]);
    },
    ROUND_MS * 2,
  );
}

describe("side by side with kernel overlayfs", () => {
  beforeAll(compilePrograms);

  if (script !== undefined) {
    test(`finds no difference in script ${script}`, async () => expect(await replay(script)).toEqual([]), ROUND_MS);
    return;
  }

  // A soak, or a run with given seeds, runs only the test below.
  if (soakMs === 0 && seed === undefined) fixedBudget();

  test(
    "random sequences have the same results and leave the same trees",
    async () => {
      const report = newReport();
      for (const one of seeds()) await runAndReport(report, draw(one));
      console.log(
        `${report.operations} calls\n${report.coverage.table()}\n${[...report.intended].map(([name, count]) => `${count} × ${name}`).join("\n")}`,
      );
      expect(report.failures.join("\n\n")).toBe("");
    },
    soakMs + ROUND_MS * 2,
  );
});
