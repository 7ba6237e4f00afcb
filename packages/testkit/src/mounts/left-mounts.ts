// Mounts that a test file leaves behind. A worker of vitest has a mount namespace of its own (packages/dev/tests/own-mounts.mjs), which takes
// them along at its end: the look for leavings after the run does not see them.
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytes } from "../byte-string.js";
import { type MountEntry, mountsBelow } from "./mount-table.js";

const ROOT = process.env["SLUICE_TEST_ROOT"] ?? join(tmpdir(), "sluice-scratch");

const belowRoot = (): MountEntry[] => mountsBelow(bytes(ROOT)).filter(({ mountpoint }) => mountpoint !== bytes(ROOT));

/** Of tests that run without a namespace of their own: this worker's began with copies of their mounts. */
const copied = new Set(belowRoot().map(({ mountpoint }) => mountpoint));

/** @throws if there are any, after it has removed them. Without a namespace of its own it would see those of other workers. */
export function refuseLeftMounts(): void {
  if (process.env["SLUICE_TEST_OWN_MOUNTS"] === undefined) return;
  const left = belowRoot().filter(({ mountpoint }) => !copied.has(mountpoint));
  for (const { mountpoint } of left) spawnSync("umount", ["-l", mountpoint]);
  if (left.length > 0)
    throw new Error(`the test file left mounts behind: ${left.map(({ mountpoint, type }) => `${mountpoint} (${type})`).join(", ")}`);
}
