// The start of the commands in bin/, in a checkout. It loads the bundle (packages/dev/bundle.mjs), which starts in about half the
// time, or dist/ if modules were compiled later, as tests that look into modules require.
import { existsSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../../", import.meta.url);
/** The machine lacks something: EXIT of ../src/cli-error.ts, which is not built then either. */
const EXIT_MACHINE = 3;

function hasBundle() {
  if (process.env["SLUICE_BUNDLE"] === "off") return false;
  try {
    const inputs = JSON.parse(readFileSync(new URL("bundle/inputs.json", ROOT), "utf8"));
    return Object.entries(inputs).every(([path, changedAt]) => statSync(new URL(path, ROOT)).mtimeMs === changedAt);
  } catch {
    // There is no bundle, or it is being made.
    return false;
  }
}

/** A checkout without a build, npm's global link to it included. */
function refuseUnbuilt(/** @type {string} */ path) {
  if (existsSync(new URL(path, ROOT))) return;
  const checkout = fileURLToPath(ROOT);
  process.stderr.write(`sluice: ${checkout}: this checkout is not built (ENOENT): run 'npm ci' in it\n`);
  process.exit(EXIT_MACHINE);
}

/**
 * Loads a program.
 * @param {string} path of its first module, in the checkout
 * @param {() => Promise<unknown>} asCompiled loads it from dist/
 */
export async function start(path, asCompiled) {
  if (hasBundle()) {
    await import(new URL(`bundle/${path}`, ROOT).href);
    return;
  }
  refuseUnbuilt(path);
  await asCompiled();
}
