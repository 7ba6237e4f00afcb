/** Each planted bug is found by the run that is meant to find it, and the same runs find nothing where none is planted. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { requires } from "@sluice/testkit";
import { beforeAll, expect, test as plainTest } from "vitest";
import { compareRound, describeFailure } from "../differential/compare/compare.js";
import type { Round } from "../differential/generate/draw-round.js";
import { compilePrograms } from "../differential/run/compile-programs.js";
import { runRound } from "../differential/run/round.js";
import { cases } from "./directed-runs.js";
import { mutants, type Patch } from "./mutants.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PLANT = new URL("plant-process.mjs", import.meta.url).href;
const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "FUSE passthrough", "command perl");
const LIMIT_MS = 120_000;

async function failuresOf({ setting, sequences }: Round, patches: readonly Patch[]): Promise<string[]> {
  const env =
    patches.length === 0 ? {} : { SLUICE_MUTANT: JSON.stringify(patches), NODE_OPTIONS: `--import ${PLANT}`, SLUICE_BUNDLE: "off" };
  return compareRound(setting, sequences, await runRound(setting, sequences, { env })).failures.map(describeFailure);
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
  const misfits = mutants.flatMap(({ name, patches }) =>
    patches
      .filter(({ file, find }) => readFileSync(`${ROOT}packages/${file}`, "utf8").split(find).length !== 2)
      .map(({ file }) => `${name}: ${file}`),
  );
  expect(misfits).toEqual([]);
});

describe("planted bugs", () => {
  beforeAll(compilePrograms);

  for (const { name, patches, run } of mutants) {
    test(name, async () => expect(await failuresOf(run(), patches)).not.toEqual([]), LIMIT_MS);
  }

  // All runs that mount alike share a mount.
  for (const [setting, sequences] of bySetting()) {
    const round: Round = { seed: 0, setting: JSON.parse(setting) as Round["setting"], sequences };
    test(`nothing planted: ${setting}`, async () => expect(await failuresOf(round, [])).toEqual([]), LIMIT_MS);
  }
});
