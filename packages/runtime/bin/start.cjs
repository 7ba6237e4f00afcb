// The start of the commands in bin/, in a checkout. It loads the bundle (packages/dev/bundle.mjs), which starts in about half the
// time, or dist/ if modules were compiled later, as tests that look into modules require.
// These files are CommonJS: Node takes a fifth of the time of a short command to set up its loader of ES modules.
"use strict";
const { existsSync, readFileSync, statSync } = require("node:fs");
const { join, resolve } = require("node:path");

const ROOT = resolve(__dirname, "../../..");
/** The machine lacks something: EXIT of ../src/cli-error.ts, which is not built then either. */
const EXIT_MACHINE = 3;
/** Of Node, for a program that waits for something that cannot happen any more. */
const EXIT_UNFINISHED = 13;

/** Programs start from it, and not from dist/. */
function hasBundle() {
  if (process.env["SLUICE_BUNDLE"] === "off") return false;
  try {
    const inputs = JSON.parse(readFileSync(join(ROOT, "bundle/inputs.json"), "utf8"));
    return Object.entries(inputs).every(([path, changedAt]) => statSync(join(ROOT, path)).mtimeMs === changedAt);
  } catch {
    // There is no bundle, or it is being made.
    return false;
  }
}

/** A checkout without a build, npm's global link to it included. */
function refuseUnbuilt(/** @type {string} */ path) {
  if (existsSync(join(ROOT, path))) return;
  process.stderr.write(`sluice: ${ROOT}: this checkout is not built (ENOENT): run 'npm ci' in it\n`);
  process.exit(EXIT_MACHINE);
}

/**
 * Loads a program.
 * @param {string} path of its first module, in the checkout
 * @param {() => Promise<unknown>} asCompiled loads it from dist/
 */
async function start(path, asCompiled) {
  if (hasBundle()) {
    require(join(ROOT, "bundle", path));
    return;
  }
  refuseUnbuilt(path);
  const unfinished = () => void (process.exitCode ??= EXIT_UNFINISHED);
  process.once("exit", unfinished);
  await asCompiled();
  process.off("exit", unfinished);
}

module.exports = { hasBundle, start };
