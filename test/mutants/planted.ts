/** Plants bugs in a daemon: builds its environment, and checks that the patches fit the built code. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Patch } from "./mutants.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PLANT = new URL("plant-process.mjs", import.meta.url).href;

/** For `mountSluice`. */
export function plantedEnv(patches: readonly Patch[]): Record<string, string> {
  if (patches.length === 0) return {};
  return { SLUICE_MUTANT: JSON.stringify(patches), NODE_OPTIONS: `--import ${PLANT}`, SLUICE_BUNDLE: "off" };
}

function textOf({ file }: Patch): string {
  const place = ["packages", "services"].map((group) => `${ROOT}${group}/${file}`).find((path) => existsSync(path));
  return place === undefined ? "" : readFileSync(place, "utf8");
}

/** Each text that is not found exactly once, with the name of its bug. */
export function misfits(planted: readonly { name: string; patches: readonly Patch[] }[]): string[] {
  return planted.flatMap(({ name, patches }) =>
    patches.filter((patch) => textOf(patch).split(patch.find).length !== 2).map(({ file }) => `${name}: ${file}`),
  );
}
