/** How long a lookup waits at most beside long work of another process: each kind of it whose length a user chooses. */
import { mkdirSync, writeFileSync } from "node:fs";
import { rename, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runCommand } from "../machine/run-command.js";
import { runLoad } from "../phases/load-generator.js";
import type { Bench } from "../phases/phase.js";
import type { Experiment, Reading } from "./experiments.js";
import { whilePhase } from "./while-phase.js";

interface LongWork {
  /** As in "lookup beside …, longest". */
  what: string;
  /** Not watched. */
  before?(root: string, at: number, bench: Bench): Promise<unknown>;
  run(root: string, at: number, bench: Bench): Promise<unknown>;
}

/** Directories of the tree, each with all the names in its only directory. */
const DIRECTORIES = ["listed", "moved", "emptied"] as const;
const FIRST = "d000";

const everything = (root: string, directory: string, at: number) => ({ directory: join(root, directory), files: at, filesADirectory: at });

const WORKS: readonly LongWork[] = [
  { what: "nothing", run: () => sleep(IDLE_MS) },
  { what: "a merged list", run: (root, at, { load }) => runLoad(load, "readdir", everything(root, "listed", at)) },
  {
    what: "forgetting",
    before: (root, at, { load }) => runLoad(load, "stat", everything(root, "listed", at)),
    run: (root, at, { load }) => runLoad(load, "stat", { ...everything(root, "looked", at), files: 0, forget: root }),
  },
  { what: "a move", run: (root) => rename(join(root, "moved", FIRST), join(root, "moved", "elsewhere")) },
  {
    what: "rmdir of whiteouts",
    before: (root) => runCommand("find", [join(root, "emptied", FIRST), "-type", "f", "-delete"], { timeoutMs: 600_000 }),
    run: (root) => rmdir(join(root, "emptied", FIRST)),
  },
  {
    what: "locks",
    run: (root, at, { load }) =>
      whilePhase({ program: load, name: "hold-locks", directory: join(root, "looked"), files: at }, () => undefined),
  },
];

/** The machine makes a lookup wait, too. */
const IDLE_MS = 2000;
/** Requests after the end of the work count, too. */
const AFTERWARDS_MS = 500;

export const besideLongWork: Experiment = {
  quantity: "names worked on",
  concerns: ({ name }) => name === "sluice" || name === "sluice-judging",
  points: ({ mostNames }) => [Math.min(mostNames, 100_000)],
  async plant(folder, at, { load }) {
    const [above, base] = [join(folder, "above"), join(folder, "base")];
    for (const name of DIRECTORIES) {
      mkdirSync(join(base, name), { recursive: true });
      await runLoad(load, "plant", { ...everything(base, name, at), sizeBytes: 0 });
    }
    mkdirSync(join(base, "looked"));
    mkdirSync(join(above, "listed", FIRST), { recursive: true });
    writeFileSync(join(above, "listed", FIRST, "own"), "");
    return { lowers: [above, base], notForMirrors: [] };
  },
  async measure({ root }, at, bench) {
    const readings: Reading[] = [];
    for (const { what, before, run } of WORKS) {
      await before?.(root, at, bench);
      const beside = {
        program: bench.load,
        name: "look-beside",
        directory: join(root, "looked"),
        files: 1,
        tag: what.replaceAll(" ", "-"),
      } as const;
      const { result } = await whilePhase(beside, async () => {
        await run(root, at, bench);
        await sleep(AFTERWARDS_MS);
      });
      readings.push({ name: `longest lookup beside ${what}`, unit: "ms", value: result.elapsedNs / 1e6 });
    }
    return readings;
  },
};
