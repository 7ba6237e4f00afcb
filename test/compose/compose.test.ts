// docker-compose.yml on a real Docker Engine: run-compose.sh does the work and names each check, also without vitest. `npm test` has volumes of
// the plugin that the user starts or of the one that Docker runs, drawn by SLUICE_SEED, and `npm run test:soak compose` of both.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describeResult, drawnCases, requires, runScript, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";

const SCRIPT = fileURLToPath(new URL("./run-compose.sh", import.meta.url));
/** The parts of the script, and a check that each alone has. */
const VOLUMES = [
  ["volumes", "ok and the container reads on"],
  ["managed", "ok what is granted passes through"],
] as const;
const drawn = drawnCases(VOLUMES, 1, chooseSeed());
const PARTS = ["replicas", "scaling", "upgrade", "restart", "policy", "metrics", ...drawn.map(([part]) => part), "backends"];
// Takes some two minutes on an idle machine, and twice that if layers have to be copied (vfs).
const LIMIT_MS = 12 * 60_000;

const { test } = requires("CAP_SYS_ADMIN", "/dev/fuse", "command dockerd", "command docker", "command mmdebstrap", "command unshare");

test(
  "compose starts two decision services and a mount that another container sees, and removes all of it",
  async () => {
    const temporary = join(scratch(), "t");
    mkdirSync(temporary);
    const result = await runScript([SCRIPT, ...PARTS], { env: { TMPDIR: temporary }, timeoutMs: LIMIT_MS });
    expect(result.code, describeResult(result)).toBe(0);
    expect(result.stdout).toContain("ok another container sees the merged tree");
    expect(result.stdout).toContain("ok what was mediated waited, and that was all");
    for (const [, check] of drawn) expect(result.stdout).toContain(check);
    expect(result.stdout).toContain("ok nothing is left on the machine");
  },
  LIMIT_MS + 10_000,
);
