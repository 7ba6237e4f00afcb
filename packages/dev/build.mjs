// Builds what is out of date: the addon, every TypeScript project, the bundle. Depends on nothing but Node.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** The compiler, or undefined where development dependencies are left out. */
export function typescriptCli() {
  const path = join(root, "node_modules/typescript/bin/tsc");
  return existsSync(path) ? path : undefined;
}

/**
 * Runs a Node script with its output on the terminal.
 * @param {string[]} argv
 * @returns {boolean} whether it exited with 0
 */
export function runNode(argv) {
  return spawnSync(process.execPath, argv, { cwd: root, stdio: "inherit" }).status === 0;
}

/** The addon; its script does nothing if it is newer than its sources. */
export function buildNative() {
  return spawnSync(process.execPath, ["build.mjs"], { cwd: join(root, "packages/native"), stdio: "inherit" }).status === 0;
}

/** `tsc -b`, which compiles only what changed. */
export function buildTypescript() {
  const tsc = typescriptCli();
  return tsc !== undefined && runNode([tsc, "-b"]);
}

/** A process of its own, since its bundler may have been installed a moment ago. */
export function buildBundle() {
  return runNode([join(root, "packages/dev/bundle.mjs")]);
}

/** @param {string} message @returns {never} */
export function giveUp(message) {
  console.error(`sluice: ${message}`);
  process.exit(1);
}

const STEPS = {
  addon: { build: buildNative, failure: "the native addon was not built; the messages above say what is missing" },
  types: { build: buildTypescript, failure: "the TypeScript build failed; its messages are above" },
  bundle: { build: buildBundle, failure: "the modules could not be joined; the messages above say why" },
};

/** @param {readonly (keyof typeof STEPS)[]} steps in this order */
export function buildOrExit(steps) {
  for (const step of steps) if (!STEPS[step].build()) giveUp(STEPS[step].failure);
}
