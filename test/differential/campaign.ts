/** Runs rounds until a budget is spent; reports the coverage and the differences, shrunk and saved as scripts. */
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compareRound, describeFailure, type Failure } from "./compare/compare.js";
import { Coverage } from "./coverage/coverage.js";
import type { Round } from "./generate/draw-round.js";
import { EVERYTHING } from "./generate/operations.js";
import { runRound } from "./run/round.js";
import { formatScript } from "./script/script.js";
import { shrink } from "./shrink/shrink.js";

/** The folder for shrunk scripts. replay.mjs runs one, and it moves to regressions/ once it is understood. */
const FOUND = fileURLToPath(new URL("found/", import.meta.url));
const TWO_NAMES = ["rename", "link", "linkfd"];
/** The longest time for making scripts small: the first ones tell most. */
const MOST_SHRUNK = Number(process.env["SLUICE_DIFFERENTIAL_SHRINK"] ?? 3);
const SHRINK_ROUNDS = 24;

export interface Report {
  /** One text for each failure: the difference, and the script. */
  failures: string[];
  coverage: Coverage;
  /** The count of each intended difference. */
  intended: Map<string, number>;
  operations: number;
}

export function newReport(): Report {
  const rows = Object.keys(EVERYTHING).flatMap((call) => (TWO_NAMES.includes(call) ? [call, `${call} to`] : [call]));
  return { failures: [], coverage: new Coverage(rows), intended: new Map(), operations: 0 };
}

async function saveFailure({ seed, setting }: Round, failure: Failure, number: number): Promise<string> {
  const sequence = number < MOST_SHRUNK ? await shrink(setting, failure, { rounds: SHRINK_ROUNDS }) : failure.sequence;
  mkdirSync(FOUND, { recursive: true });
  const file = `${FOUND}${seed}-${failure.sequence.name}.script`;
  const remarks = [`seed ${seed}`, ...describeFailure(failure).split("\n")];
  const script = formatScript({ setting, sequence }, remarks);
  writeFileSync(file, script);
  return `${script}\nrepeat with: node test/differential/replay.mjs ${file}`;
}

/** Runs one round, and adds it to the report. */
export async function runAndReport(report: Report, round: Round): Promise<void> {
  const startedMs = Date.now();
  const result = await runRound(round.setting, round.sequences);
  const outcome = compareRound(round.setting, round.sequences, result);
  for (const steps of result.steps.values()) {
    report.coverage.add(steps);
    report.operations += steps.length;
  }
  for (const [name, count] of outcome.intended) report.intended.set(name, (report.intended.get(name) ?? 0) + count);
  console.log(
    `seed ${round.seed} ${JSON.stringify(round.setting)}: ${outcome.failures.length} differences in ${Date.now() - startedMs} ms`,
  );
  for (const failure of outcome.failures) {
    console.log(describeFailure(failure));
    report.failures.push(await saveFailure(round, failure, report.failures.length));
  }
}
