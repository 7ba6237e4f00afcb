/** Several processes read, write, map, truncate and punch a file each, and always know its correct content. */
import { layers, mountSluice, plant, publicFile, requires, runScript, scratch, treeHash } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { compileExerciser } from "./compile-exerciser.js";
import { expectNoLeak, footprintOf } from "./footprint.js";
import { chooseSeed, POLICIES } from "./policies.js";
import { shareMs } from "./share.js";
import { withLog } from "./with-log.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command cc");
const FILES = ["deep/er/a", "b", "empty"] as const;
const SPARE_MS = 60_000;
const budgetMs = shareMs(3_000) / Object.keys(POLICIES).length;
/** A short run comes first; after it the mount service may hold nothing more. */
const warmUpSeconds = 1;
const seconds = Math.max(1, Math.round(budgetMs / 1000));

describe("file exercisers", () => {
  let program = "";
  const seed = chooseSeed();
  beforeAll(() => {
    program = compileExerciser("file-exerciser");
  });

  async function exercise(directory: string, round: { seed: number; seconds: number }): Promise<void> {
    const runs = FILES.map((name, i) =>
      runScript([program, `${directory}/${name}`, String(round.seed + i), String(round.seconds)], {
        timeoutMs: round.seconds * 1000 + SPARE_MS,
      }),
    );
    const results = await Promise.all(runs);
    expect(results.map(({ code, stdout, stderr }) => (code === 0 ? "ok" : `${stderr}${stdout}`))).toEqual(FILES.map(() => "ok"));
  }

  const content = Buffer.from(Array.from({ length: 70_001 }, (_, i) => (i * 131) % 251));
  const tree = { "deep/er/a": publicFile(content), b: publicFile(content.subarray(0, 4096)), empty: publicFile("") };

  test("find nothing on the host's own file system", async () => {
    await exercise(plant(scratch(), tree), { seed, seconds: 1 });
  });

  for (const [name, policy] of Object.entries(POLICIES)) {
    test(
      name,
      async () => {
        const { lower, upper } = layers({ lower: tree });
        const before = treeHash(lower);
        const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy: policy });
        await exercise(mount.mountpoint, { seed, seconds: warmUpSeconds });
        const warm = await footprintOf(mount);
        await withLog(mount, () => exercise(mount.mountpoint, { seed: seed + 100, seconds }));
        expectNoLeak(warm, await footprintOf(mount));
        expect((await mount.stop()).code).toBe(0);
        expect(treeHash(lower)).toBe(before);
      },
      (warmUpSeconds + seconds) * 1000 + 2 * SPARE_MS,
    );
  }
});
