// `npm run version -- 0.2.0`: gives the whole checkout another version. Packages and their dependencies, the lock file, the
// manifests of deploy/ and the changelog change together. It commits nothing: docs/releasing.md has the next steps.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { root as checkout } from "./build.mjs";

const SEMANTIC = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;
const WORKSPACES = ["packages", "services"];

/** @typedef {{ version?: string, [kind: string]: unknown }} Description of a package */

/** @param {Description} description @param {string} version */
function describe(description, version) {
  description.version = version;
  for (const kind of ["dependencies", "devDependencies", "optionalDependencies"]) {
    const needed = /** @type {Record<string, string>} */ (description[kind] ?? {});
    for (const name of Object.keys(needed)) if (name.startsWith("@sluice/")) needed[name] = version;
  }
}

/** @param {string} text @param {string} from @param {string} to a description keeps its layout */
const inPackage = (text, from, to) =>
  text.replace(`"version": "${from}"`, `"version": "${to}"`).replaceAll(new RegExp(`("@sluice/[^"]+": )"${from}"`, "g"), `$1"${to}"`);

/** @param {string} text @param {string} to */
function inLock(text, to) {
  const lock = JSON.parse(text);
  lock.version = to;
  for (const [path, entry] of Object.entries(lock.packages)) if (!path.includes("node_modules/")) describe(entry, to);
  return `${JSON.stringify(lock, null, 2)}\n`;
}

/** @param {string} text @param {string} to */
function inChangelog(text, to) {
  const day = new Date(Number(process.env["SOURCE_DATE_EPOCH"] ?? Date.now() / 1000) * 1000).toISOString().slice(0, 10);
  return text.replace("## [Unreleased]\n", `## [Unreleased]\n\n## [${to}] - ${day}\n`);
}

/** Files, and how a version is written in them. @param {string} root @returns {[file: string, change: (text: string, from: string, to: string) => string][]} */
function files(root) {
  const packages = WORKSPACES.flatMap((kind) => readdirSync(join(root, kind)).map((name) => `${kind}/${name}/package.json`));
  return [
    ...["package.json", ...packages].map((file) => /** @type {[string, typeof inPackage]} */ ([file, inPackage])),
    ["package-lock.json", (text, _, to) => inLock(text, to)],
    ["packages/runtime/src/version.ts", (text, from, to) => text.replace(`"${from}"`, `"${to}"`)],
    ["deploy/k8s/chart/Chart.yaml", (text, _, to) => text.replace(/^(version|appVersion): .*$/gm, `$1: "${to}"`)],
    ["CHANGELOG.md", (text, _, to) => inChangelog(text, to)],
  ];
}

/** @param {string} root of a checkout @param {string} to @returns {string[]} the files that changed */
export function setVersion(root, to) {
  if (!SEMANTIC.test(to)) throw new Error(`${to}: not a version: write MAJOR.MINOR.PATCH, such as 0.2.0 or 0.2.0-rc.1`);
  const from = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
  if (from === to) throw new Error(`${to}: it is the version already: choose another one`);
  return files(root).flatMap(([file, change]) => {
    const path = join(root, file);
    if (!existsSync(path)) return [];
    const before = readFileSync(path, "utf8");
    const after = change(before, from, to);
    if (after === before) return [];
    writeFileSync(path, after);
    return [file];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    for (const file of setVersion(checkout, process.argv[2] ?? "none")) process.stdout.write(`${file}\n`);
  } catch (error) {
    process.stderr.write(`version: ${/** @type {Error} */ (error).message}\n`);
    process.exitCode = 2;
  }
}
