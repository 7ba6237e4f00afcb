/** What a case must come to on Sluice: what it came to on the kernel, but for the intended differences. */
import { directoryName } from "./cases/case.js";
import { type Difference, differences } from "./differences.js";
import type { Step } from "./probe/recorder.js";
import type { Engine, Outcome } from "./run/run-engine.js";
import type { Snapshot } from "./tree/snapshot-tree.js";

/** Everything that is compared of one case. */
export interface CaseOutcome {
  steps: readonly Step[];
  merged: Snapshot;
  upper: Snapshot;
  remounted: Snapshot;
}

export function outcomeOf(outcome: Outcome, caseName: string): CaseOutcome {
  const name = directoryName(caseName);
  return {
    steps: outcome.results[name] ?? [],
    merged: below(outcome.merged, name),
    upper: below(outcome.upper, name),
    remounted: below(outcome.remounted, name),
  };
}

function below(snapshot: Snapshot, name: string): Snapshot {
  return Object.fromEntries(Object.entries(snapshot).filter(([path]) => path === name || path.startsWith(`${name}/`)));
}

export function differencesOf(caseName: string, engine: Engine): Difference[] {
  return differences.filter((difference) => difference.case === caseName && (difference.only ?? engine) === engine);
}

/** The kernel's outcome with each intended difference put in. Throws where the kernel does not do what the table says. */
export function withDifferences(kernel: CaseOutcome, table: readonly Difference[]): CaseOutcome {
  const expected = structuredClone(kernel) as { -readonly [Key in keyof CaseOutcome]: CaseOutcome[Key] };
  for (const { at, kernel: said, sluice } of table) {
    if ("step" in at) {
      const step = expected.steps.find(({ call }) => call === at.step);
      if (step === undefined || JSON.stringify(step.result) !== JSON.stringify(said)) throw new Error(`the kernel does not say ${JSON.stringify(said)} at ${at.step}`);
      step.result = sluice;
      continue;
    }
    const { aspect, path } = at;
    const snapshot: Record<string, unknown> = { ...expected[aspect] };
    if (snapshot[path] !== said) throw new Error(`the kernel does not show ${JSON.stringify(said)} at ${path} (${aspect}) but ${JSON.stringify(snapshot[path])}`);
    if (sluice === undefined) delete snapshot[path];
    else snapshot[path] = sluice;
    expected[aspect] = snapshot as Snapshot;
  }
  return expected;
}
