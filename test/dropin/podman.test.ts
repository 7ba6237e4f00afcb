// podman and buildah on sluice-overlayfs: run-podman.sh does the work and names each check, also without vitest.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describeResult, requires, runScript, scratch } from "@sluice/testkit";
import { expect } from "vitest";

const SCRIPT = fileURLToPath(new URL("./run-podman.sh", import.meta.url));
const LIMIT_MS = 10 * 60_000;

const { test } = requires("CAP_SYS_ADMIN", "/dev/fuse", "command podman", "command buildah", "command crun", "command unshare");

test(
  "podman and buildah import, build, run and commit images on sluice-overlayfs, and nothing is left",
  async () => {
    const temporary = join(scratch(), "t");
    mkdirSync(temporary);
    const result = await runScript([SCRIPT], { env: { TMPDIR: temporary }, timeoutMs: LIMIT_MS });
    expect(result.code, describeResult(result)).toBe(0);
    expect(result.stdout).toContain("ok what a step removed is gone, what it renamed is whole");
    expect(result.stdout).toContain("ok with ids mapped, owners are the image's");
    expect(result.stdout).toContain("ok no server is left");
  },
  LIMIT_MS + 10_000,
);
