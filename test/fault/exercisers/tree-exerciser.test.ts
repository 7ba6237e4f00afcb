/**
 * Several processes, one of them without privilege, create, move, link and remove names in a tree each. A model predicts every
 * result. Every tree must equal the model on Sluice, and then on kernel overlayfs over the same layers. Each mount adds a
 * layer to the next one. Every other server lets go of each idle object. `npm test` takes some of the policies, drawn by SLUICE_SEED, and `npm run test:soak exercisers` all of them.
 */
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { drawnCases, requires, runScript } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { lettingObjectsGo } from "../../e2e/harness/letting-objects-go.js";
import { compileExerciser } from "./compile-exerciser.js";
import { expectForgotten, footprintOf } from "./footprint.js";
import { chooseSeed, POLICIES } from "./policies.js";
import { StackedMounts } from "./stacked-mounts.js";
import { shareMs } from "./share.js";
import { withLog } from "./with-log.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "command cc");
const TREES = [
  { name: "root", options: "" },
  { name: "user", options: "u" },
  { name: "root2", options: "" },
] as const;
const USER = 1000;
/** Measured in rounds of the exerciser, 500 operations each. */
const PLANTED = 2;
const PER_MOUNT = shareMs(0) > 0 ? 2 : 1;
/** Each time takes processor time of the whole machine. */
const FORGET_EVERY_MS = 250;
const SPARE_MS = 120_000;
const FEW = 1;
const budgetMs = shareMs(4_000) / Object.keys(POLICIES).length;

interface Stretch {
  seed: number;
  from: number;
  to: number;
  /** See tree-exerciser.c. */
  options: string;
}

/** Makes the kernel drop every inode and name that it can: all of them must be found again, unchanged. */
function forgetAgainAndAgain(): () => void {
  const timer = setInterval(() => writeFileSync("/proc/sys/vm/drop_caches", "2"), FORGET_EVERY_MS);
  return () => clearInterval(timer);
}

describe("tree exercisers", () => {
  let program = "";
  const seed = chooseSeed();
  beforeAll(() => {
    program = compileExerciser("tree-exerciser");
  });

  async function exercise(directory: string, stretch: Stretch): Promise<void> {
    const runs = TREES.map(({ name, options }, i) =>
      runScript(
        [program, join(directory, name), String(stretch.seed + i), String(stretch.from), String(stretch.to), options + stretch.options],
        { timeoutMs: SPARE_MS },
      ),
    );
    const results = await Promise.all(runs);
    expect(results.map(({ code, stdout, stderr }) => (code === 0 ? "ok" : `${stderr}${stdout}`))).toEqual(TREES.map(() => "ok"));
  }

  /** Runs mounts up to the limit of layers, or until the time is up. */
  async function pile(policy: string, run: { seed: number; untilMs: number }): Promise<void> {
    const stack = new StackedMounts(policy);
    for (const { name } of TREES) mkdirSync(join(stack.bottom, name));
    chownSync(join(stack.bottom, "user"), USER, USER);
    let at = PLANTED;
    await exercise(stack.bottom, { seed: run.seed, from: 0, to: at, options: "n" });
    // There are two at least: the second stands on the result of the first one.
    for (let mounts = 0; mounts < 2 || (Date.now() < run.untilMs && !stack.full); mounts++) {
      const to = at + PER_MOUNT;
      const idle = mounts % 2 === 0 ? lettingObjectsGo() : undefined;
      await stack.round(
        async (mount) => {
          const stop = idle === undefined ? forgetAgainAndAgain() : () => undefined;
          await withLog(mount, () => exercise(mount.mountpoint, { seed: run.seed, from: at, to, options: "n" })).finally(stop);
          if (idle !== undefined) expect(idle.gone()).toBeGreaterThan(0);
          expectForgotten(await footprintOf(mount));
        },
        // The kernel lists a merged directory's upper inode number until an entry of its parent has been copied up.
        (mountpoint) => exercise(mountpoint, { seed: run.seed, from: to, to, options: "" }),
        idle?.env,
      );
      at = to;
    }
  }

  for (const [name, policy] of drawnCases(Object.entries(POLICIES), FEW, seed)) {
    test(
      name,
      async () => {
        const untilMs = Date.now() + budgetMs;
        let next = seed;
        do {
          await pile(policy, { seed: next, untilMs });
          next += 100;
        } while (Date.now() < untilMs);
      },
      budgetMs + 3 * SPARE_MS,
    );
  }
});
