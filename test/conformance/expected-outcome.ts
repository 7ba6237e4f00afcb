/** The expected outcome of a case on Sluice: the kernel's outcome, except for the intended differences. */
import { type Case, directoryName } from "./cases/case.js";
import { differences } from "./differences.js";
import type { Step } from "./probe/recorder.js";
import type { Engine, Outcome } from "./run/run-engine.js";
import type { Snapshot } from "./tree/snapshot-tree.js";

/** The compared results of one case. */
export interface CaseOutcome {
  steps: readonly Step[];
  merged: Snapshot;
  upper: Snapshot;
}

export function outcomeOf(outcome: Outcome, one: Case): CaseOutcome {
  const name = directoryName(one.name);
  return {
    steps: outcome.results[name] ?? [],
    merged: below(outcome.merged, name),
    upper: one.seenOnly === true ? {} : below(outcome.upper, name),
  };
}

/** By the directory of the case: each of a thousand tests would search some ten thousand entries otherwise. */
const parts = new WeakMap<Snapshot, ReadonlyMap<string, Snapshot>>();

function partsOf(snapshot: Snapshot): ReadonlyMap<string, Snapshot> {
  const grouped = new Map<string, Snapshot>();
  for (const [path, line] of Object.entries(snapshot)) {
    const name = path.split("/", 1)[0] ?? "";
    const part = grouped.get(name) ?? {};
    part[path] = line;
    grouped.set(name, part);
  }
  return grouped;
}

function below(snapshot: Snapshot, name: string): Snapshot {
  const known = parts.get(snapshot) ?? partsOf(snapshot);
  parts.set(snapshot, known);
  return known.get(name) ?? {};
}

/** The kernel's result with each intended difference applied. Throws if the kernel does not do as the table says. */
export function withDifferences(kernel: CaseOutcome, one: Case, engine: Engine): CaseOutcome {
  const table = differences.filter(({ case: name, on }) => name === one.name && (on === undefined || on.includes(engine)));
  const directory = directoryName(one.name);
  const expected = structuredClone(kernel) as { -readonly [Key in keyof CaseOutcome]: CaseOutcome[Key] };
  for (const { at, kernel: said, sluice } of table) {
    if ("step" in at) {
      const step = expected.steps.find(({ call }) => call === at.step);
      if (step === undefined || JSON.stringify(step.result) !== JSON.stringify(said))
        throw new Error(`the kernel does not say ${JSON.stringify(said)} at ${at.step}`);
      step.result = sluice;
      continue;
    }
    const { aspect } = at;
    const path = `${directory}/${at.path}`;
    const snapshot: Record<string, unknown> = { ...expected[aspect] };
    if (snapshot[path] !== said)
      throw new Error(`the kernel does not show ${JSON.stringify(said)} at ${path} (${aspect}) but ${JSON.stringify(snapshot[path])}`);
    if (sluice === undefined) delete snapshot[path];
    else snapshot[path] = sluice;
    expected[aspect] = snapshot as Snapshot;
  }
  return expected;
}

/** One line for each fact, so that a failure shows just those that differ. */
export function asLines(outcome: CaseOutcome): string[] {
  const lines = outcome.steps.map(({ call, result }) => `${call} = ${JSON.stringify(result)}`);
  for (const aspect of ["merged", "upper"] as const) {
    lines.push(...Object.entries(outcome[aspect]).map(([path, line]) => `${aspect} ${path}: ${line}`));
  }
  return lines;
}
