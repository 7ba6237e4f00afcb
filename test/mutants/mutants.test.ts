/**
 * The designated run finds each planted bug, and the same runs find nothing without one. `npm test` plants some of the bugs, drawn by
 * SLUICE_SEED, and `npm run test:soak mutants` all of them.
 */
import { drawnCases, mountsShareProcess, requires } from "@sluice/testkit";
import { beforeAll, expect, test as plainTest } from "vitest";
import { compareRound, describeFailure } from "../differential/compare/compare.js";
import type { Round } from "../differential/generate/draw-round.js";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { compilePrograms } from "../differential/run/compile-programs.js";
import { runRound } from "../differential/run/round.js";
import { cases } from "./directed-runs.js";
import { mutants } from "./mutants.js";
import { misfits, plantBugs, type Planted } from "./planted.js";

mountsShareProcess();

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "FUSE passthrough", "command perl");
const LIMIT_MS = 300_000;
/** Each takes a second or two. */
const FEW = 2;
const drawn = drawnCases(mutants, FEW, chooseSeed());

async function failuresOf({ setting, sequences }: Round, planted: Planted = {}): Promise<string[]> {
  const run = await runRound(setting, sequences, planted);
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
  let planted: (name: string) => Planted;
  beforeAll(async () => {
    compilePrograms();
    planted = await plantBugs(drawn);
  }, LIMIT_MS);

  for (const { name, run } of drawn) {
    test(name, async () => expect(await failuresOf(run(), planted(name))).not.toEqual([]), LIMIT_MS);
  }

  // All runs with the same mount options share a mount.
  for (const [setting, sequences] of bySetting()) {
    const round: Round = { seed: 0, setting: JSON.parse(setting) as Round["setting"], sequences };
    test(`finds nothing without a planted bug: ${setting}`, async () => expect(await failuresOf(round)).toEqual([]), LIMIT_MS);
  }
});
