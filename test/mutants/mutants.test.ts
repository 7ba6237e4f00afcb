/** The designated run finds each planted bug, and the same runs find nothing without one. */
import { requires } from "@sluice/testkit";
import { beforeAll, expect, test as plainTest } from "vitest";
import { compareRound, describeFailure } from "../differential/compare/compare.js";
import type { Round } from "../differential/generate/draw-round.js";
import { compilePrograms } from "../differential/run/compile-programs.js";
import { runRound } from "../differential/run/round.js";
import { cases } from "./directed-runs.js";
import { mutants, type Patch } from "./mutants.js";
import { misfits, plantedEnv } from "./planted.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "FUSE passthrough", "command perl");
const LIMIT_MS = 120_000;

async function failuresOf({ setting, sequences }: Round, patches: readonly Patch[]): Promise<string[]> {
  const run = await runRound(setting, sequences, { env: plantedEnv(patches) });
  return compareRound(setting, sequences, run).failures.map(describeFailure);
}

function bySetting(): Map<string, Round["sequences"]> {
  const groups = new Map<string, Round["sequences"]>();
  for (const [name, run] of Object.entries(cases)) {
    const { setting, sequences } = run();
    const key = JSON.stringify(setting);
    groups.set(key, [...(groups.get(key) ?? []), ...sequences.map((sequence) => ({ ...sequence, name: `${name}-${sequence.name}` }))]);
  }
  return groups;
}

plainTest("every patch fits the built code", () => {
  expect(misfits(mutants)).toEqual([]);
});

describe("planted bugs", () => {
  beforeAll(compilePrograms);

  for (const { name, patches, run } of mutants) {
    test(name, async () => expect(await failuresOf(run(), patches)).not.toEqual([]), LIMIT_MS);
  }

  // All runs with the same mount options share a mount.
  for (const [setting, sequences] of bySetting()) {
    const round: Round = { seed: 0, setting: JSON.parse(setting) as Round["setting"], sequences };
    test(`finds nothing without a planted bug: ${setting}`, async () => expect(await failuresOf(round, [])).toEqual([]), LIMIT_MS);
  }
});
