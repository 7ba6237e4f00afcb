// podman and buildah on sluice-overlayfs: run-podman.sh does the work and names each check, also without vitest. `npm test` has it done by
// root, by root with mounts of a host service, or by an ordinary user, drawn by SLUICE_SEED, and `npm run test:soak podman` by all of them.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { asOrdinaryUser, describeResult, drawnCases, requires, runScript, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";

const SCRIPT = fileURLToPath(new URL("./run-podman.sh", import.meta.url));
const LIMIT_MS = 10 * 60_000;

const NEEDS = ["CAP_SYS_ADMIN", "/dev/fuse", "command podman", "command buildah", "command crun", "command unshare"] as const;
const asRoot = requires(...NEEDS);
const rootless = requires(
  ...NEEDS,
  "checkout that every user can read",
  "user namespaces",
  "command setpriv",
  "command newuidmap",
  "command newgidmap",
);

const USERS = [
  ["root", asRoot, (): string[] => []],
  ["root, by a host service,", asRoot, (): string[] => ["env", "BY_SERVICE=yes"]],
  ["an ordinary user with subordinate ids", rootless, (): string[] => asOrdinaryUser([])],
] as const;

for (const [user, { test }, become] of drawnCases(USERS, 1, chooseSeed()))
  test(
    `podman and buildah of ${user} import, build, run and commit images on sluice-overlayfs, and nothing is left`,
    async () => {
      const temporary = join(scratch(), "t");
      mkdirSync(temporary);
      const result = await runScript([SCRIPT, ...become()], { env: { TMPDIR: temporary }, timeoutMs: LIMIT_MS });
      expect(result.code, describeResult(result)).toBe(0);
      expect(result.stdout).toContain("ok what a step removed is gone, what it renamed is whole");
      expect(result.stdout).toContain("ok with ids mapped, owners are the image's");
      expect(result.stdout).toContain("ok no server is left");
    },
    LIMIT_MS + 10_000,
  );
