// Runs a program of the system for a release, and names its Debian package if the program is missing.
import { spawnSync } from "node:child_process";
import { packageWith } from "../tests/programs.mjs";
import { ReleaseError } from "./settings.mjs";

/**
 * @param {string} program @param {readonly string[]} argv @param {import("node:child_process").SpawnSyncOptions} [options]
 * @returns {string} its standard output
 */
export function runTool(program, argv, options = {}) {
  const done = spawnSync(program, argv, { encoding: "utf8", maxBuffer: 256 << 20, ...options });
  if (/** @type {NodeJS.ErrnoException} */ (done.error)?.code === "ENOENT") {
    throw new ReleaseError(`${program}: the program is missing: apt-get install ${packageWith(program) ?? program}`);
  }
  if (done.error) throw done.error;
  if (done.status !== 0)
    throw new ReleaseError(`${program} failed (exit code ${done.status}):\n${String(done.stdout)}${String(done.stderr)}`);
  return String(done.stdout);
}
