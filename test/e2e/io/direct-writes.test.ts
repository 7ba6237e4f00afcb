/** Asynchronous direct writes (io_submit on O_DIRECT) beside readers of the same file, as in xfstests' generic/451. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mountSluice, mountsShareProcess, requires, scratch, scriptOutput, soakBudgetMs } from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command cc");
const SOURCE = fileURLToPath(new URL("../harness/direct-writes.c", import.meta.url));
/** The readers keep the processors busy meanwhile. `npm run test:soak direct-writes` takes more. */
const [ROUNDS, LIMIT_MS] = soakBudgetMs(0) > 0 ? ["1000", 600_000] : ["100", 60_000];

for (const effect of ["grant", "mediate"]) {
  test(
    `readers beside asynchronous direct writes see what was written: ${effect}`,
    async () => {
      const program = join(scratch(), "direct-writes");
      execFileSync("cc", ["-O1", "-Wall", "-pthread", "-o", program, SOURCE], { stdio: "pipe" });
      const mount = await mountSluice({ lowers: [scratch()], upper: scratch(), policy: `version: 1\ndefault: ${effect}\n` });
      const stale: string[] = [];
      for (const name of ["f", "g", "h"]) stale.push(await scriptOutput([program, mount.path(name), ROUNDS], { timeoutMs: LIMIT_MS }));
      expect(stale.map((text) => text.trim())).toEqual(["0", "0", "0"]);
      await mount.stop();
    },
    3 * LIMIT_MS,
  );
}
