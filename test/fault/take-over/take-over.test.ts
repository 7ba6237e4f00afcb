/**
 * The server is killed while processes work on the mount, at random moments and at planted ones (before and after each kind
 * of change in the layers, between an effect and its answer, during its take-over). A model predicts the result of every call.
 * Nothing is lost or done twice, and in the end the trees equal the model, on the mount and on kernel overlayfs.
 */
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { diffSnapshots, mountKernelOverlay, requires, runScript, scratch, snapshot } from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { beforeAll, expect } from "vitest";
import { compileExerciser } from "../exercisers/compile-exerciser.js";
import { chooseSeed, POLICIES } from "../exercisers/policies.js";
import { withLog } from "../exercisers/with-log.js";
import { type SupervisedMount, mountSupervised } from "./supervised-mount.js";
import { killsWanted, shareMs } from "./share.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "command cc");
const USER = 1000;
const SPARE_MS = 180_000;
const CASES = [
  { name: "killed at random", policy: undefined, planted: false },
  { name: "killed at planted points", policy: POLICIES["mixed: readers mediated"], planted: true },
] as const;
const budgetMs = shareMs(4_000);
const PLANTED_ROUNDS = 2;
/** Of each kind. On a busy machine the first server may outlast the time. */
const LEAST_KILLS = 1;
const EXACT = { atime: true, hardLinks: true };
/** Other programs list /tmp, four directories deep: access times of files there would change. */
const OUT_OF_REACH = "out/of/reach/of/others";
const CONTENT = Buffer.from(Array.from({ length: 70_001 }, (_, i) => (i * 131) % 251));

interface Programs {
  tree: string;
  file: string;
}

/** Two trees, one of them an unprivileged user's, and a file to read, write, map and lock. */
function plantLower(tree: string, seed: number): Promise<string> {
  const lower = join(scratch(), OUT_OF_REACH);
  mkdirSync(lower, { recursive: true });
  for (const name of ["root", "user"]) mkdirSync(join(lower, name));
  chownSync(join(lower, "user"), USER, USER);
  writeFileSync(join(lower, "file"), CONTENT);
  return exerciseTrees(tree, lower, { seed, from: 0, to: PLANTED_ROUNDS, options: "n" }).then(() => lower);
}

async function exerciseTrees(program: string, at: string, run: { seed: number; from: number; to: number; options: string }): Promise<void> {
  const runs = ["", "u"].map((user, i) =>
    runScript(
      [program, join(at, user === "" ? "root" : "user"), String(run.seed + i), String(run.from), String(run.to), user + run.options],
      {
        timeoutMs: budgetMs + SPARE_MS,
      },
    ),
  );
  const results = await Promise.all(runs);
  expect(results.map(({ code, stdout, stderr }) => (code === 0 ? "ok" : `${stderr}${stdout}`))).toEqual(["ok", "ok"]);
}

async function exerciseFile(program: string, path: string, run: { seed: number; seconds: number }): Promise<void> {
  const { code, stdout, stderr } = await runScript([program, path, String(run.seed), String(run.seconds)], {
    timeoutMs: budgetMs + SPARE_MS,
  });
  expect(code === 0 ? "ok" : `${stderr}${stdout}`).toBe("ok");
}

/** Runs rounds until the time is up; returns the progress of the trees. */
async function workOn(supervised: SupervisedMount, programs: Programs, run: { seed: number; untilMs: number }): Promise<number> {
  let at = PLANTED_ROUNDS;
  const trees = async (): Promise<void> => {
    while (supervised.goesOn({ untilMs: run.untilMs, least: LEAST_KILLS })) {
      await exerciseTrees(programs.tree, supervised.mountpoint, { seed: run.seed, from: at, to: at + 1, options: "n" });
      at++;
    }
  };
  const seconds = Math.max(2, Math.round((run.untilMs - Date.now()) / 1000));
  await Promise.all([trees(), exerciseFile(programs.file, join(supervised.mountpoint, "file"), { seed: run.seed, seconds })]);
  return at;
}

describe("a killed server is followed by one that continues its work", () => {
  const programs: Programs = { tree: "", file: "" };
  const seed = chooseSeed();
  let killsInAll = 0;
  beforeAll(() => {
    programs.tree = compileExerciser("tree-exerciser");
    programs.file = compileExerciser("file-exerciser");
  });

  for (const { name, policy, planted } of CASES) {
    test(
      name,
      async () => {
        const lower = await plantLower(programs.tree, seed);
        const before = snapshot(lower, EXACT);
        const [upper, work] = [join(scratch(), "upper"), scratch()];
        mkdirSync(upper);
        const plant = planted ? { plant: { seed, forMs: budgetMs } } : {};
        const supervised = await mountSupervised({
          lower,
          upper,
          args: ["--work", work],
          ...(policy === undefined ? {} : { policy }),
          ...plant,
        });
        const untilMs = Date.now() + budgetMs;
        let at = 0;
        let kills = 0;
        await withLog(supervised.mount, async () => {
          const working = workOn(supervised, programs, { seed, untilMs }).then((rounds) => {
            at = rounds;
          });
          const random = seededRandom(seed).fraction;
          const alsoKill = planted ? { alsoKill: () => supervised.killDecision() } : {};
          kills = await supervised.killingWhile(working, {
            random,
            pauseMs: planted ? 4000 : 700,
            untilMs,
            least: LEAST_KILLS,
            ...alsoKill,
          });
          if (planted) kills += supervised.planted - 1;
          await exerciseTrees(programs.tree, supervised.mountpoint, { seed, from: at, to: at, options: "n" });
        });
        process.stdout.write(`${name}: ${kills} kills, ${at - PLANTED_ROUNDS} rounds of two trees\n`);
        expect(kills).toBeGreaterThan(0);
        killsInAll += kills;
        expect((await supervised.mount.stop()).code).toBe(0);
        expect(diffSnapshots(before, snapshot(lower, EXACT))).toEqual([]);
        const overlay = mountKernelOverlay({ lowers: [lower], upper, work, options: "redirect_dir=on,index=on,metacopy=off" });
        await exerciseTrees(programs.tree, overlay, { seed, from: at, to: at, options: "" });
      },
      budgetMs + 3 * SPARE_MS,
    );
  }

  test("the server is killed often enough", () => {
    process.stdout.write(`${killsInAll} kills in all\n`);
    expect(killsInAll).toBeGreaterThanOrEqual(killsWanted(100, 2));
  });
});
