// What the commands in bin/ begin with, in a checkout: the same program joined into few files (packages/dev/bundle.mjs), which
// starts in about half the time; or, where modules were compiled since, from dist/, as tests that look into modules ask for.
import { readFileSync, statSync } from "node:fs";

const ROOT = new URL("../../../", import.meta.url);

function hasBundle() {
  if (process.env["SLUICE_BUNDLE"] === "off") return false;
  try {
    const inputs = JSON.parse(readFileSync(new URL("bundle/inputs.json", ROOT), "utf8"));
    return Object.entries(inputs).every(([path, changedAt]) => statSync(new URL(path, ROOT)).mtimeMs === changedAt);
  } catch {
    // None was made, or it is being made.
    return false;
  }
}

/**
 * Loads a program.
 * @param {string} path of its first module, in the checkout
 * @param {() => Promise<unknown>} asCompiled loads it from dist/
 */
export async function start(path, asCompiled) {
  await (hasBundle() ? import(new URL(`bundle/${path}`, ROOT).href) : asCompiled());
}
