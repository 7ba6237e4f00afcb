/**
 * Many processes open, close, map and copy up files at random while the policy is edited: no call fails, every read agrees
 * with a model, and no lower layer changes. A fixed time; SLUICE_SOAK_SECONDS for longer; SLUICE_SEED draws the same again.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  diffSnapshots,
  mountSluice,
  mountsShareProcess,
  policyOf,
  requires,
  scratch,
  snapshot,
  soakBudgetMs,
  startScript,
  type Status,
  statusOf,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "command cc");
const SOURCE = fileURLToPath(new URL("./storm/storm.c", import.meta.url));
const FILES = 2_000;
const PROCESSES = 6;
const BUDGET_MS = soakBudgetMs(2_000);
const SPARE_MS = 120_000;
const EDIT_MS = 700;
const EXACT = { atime: true, hardLinks: true };
const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000);

const policies = [
  policyOf("grant"),
  policyOf("mediate"),
  policyOf("grant", { name: "some", path: "*[13579]", effect: "mediate" }),
  policyOf("mediate", { name: "readers", path: "**", access: ["read"], effect: "grant" }),
  policyOf("grant", { name: "writers", path: "**", access: ["write"], effect: "mediate" }),
] as const;

test(
  `many processes work at random while the policy changes (seed ${seed})`,
  async () => {
    const [lower, upper, tools] = [scratch(), scratch(), scratch()];
    const program = join(tools, "storm");
    execFileSync("cc", ["-O1", "-Wall", "-pthread", "-o", program, SOURCE], { stdio: "pipe" });
    execFileSync(program, [lower, String(FILES)]);
    const before = snapshot(lower, EXACT);
    const mount = await mountSluice({ lowers: [lower], upper, policy: policies[0] });
    const args = [program, mount.mountpoint, FILES, PROCESSES, Math.ceil(BUDGET_MS / 1000), seed].map(String);
    const storm = startScript(args, { timeoutMs: BUDGET_MS + SPARE_MS });
    let over = false;
    void storm.finished.then(() => (over = true));
    for (let edit = 1; !over; edit++) {
      await sleep(EDIT_MS);
      writeFileSync(mount.policyFile as string, policies[(edit * 7 + seed) % policies.length] as string);
    }
    const { code, stdout, stderr } = await storm.finished;
    process.stdout.write(`seed ${seed}: ${stdout.trim().replaceAll("\n", ", ")}\n`);
    expect(code, `${stderr}\n${mount.log().slice(-4000)}`).toBe(0);
    const status: Status = await statusOf(mount);
    expect(status.anomalies).toBe(0);
    // The kernel waits for no answer to RELEASE.
    await expect.poll(async () => (await statusOf(mount)).overlay.openFiles, { timeout: 30_000 }).toBe(0);
    await mount.stop();
    expect(diffSnapshots(before, snapshot(lower, EXACT))).toEqual([]);
  },
  BUDGET_MS + SPARE_MS + 60_000,
);
