// `npm run check`: every rule of the repository that needs no mount, one after the other, with a summary.
// Each failure is followed by why the rule exists and what to do. Changes nothing.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./build.mjs";
import { checkBans } from "./rules/bans.mjs";
import { checkBoundaries } from "./rules/boundaries.mjs";
import { checkC } from "./rules/compile-c.mjs";
import { checkFolderSizes } from "./rules/folder-sizes.mjs";
import { checkOverlayFloors } from "./rules/overlay-floors.mjs";

/**
 * @typedef {object} Outcome
 * @property {boolean} ok
 * @property {string} output
 *
 * @typedef {object} Step
 * @property {string} name
 * @property {() => Outcome} run
 * @property {string} reason
 * @property {string} remedy
 */

/** @param {string} tool @param {string[]} argv @returns {Outcome} */
function tool(tool, argv) {
  return run(join(root, "node_modules/.bin", tool), argv);
}

/** @param {string} file @param {string[]} argv @returns {Outcome} */
function run(file, argv) {
  const done = spawnSync(file, argv, { cwd: root, encoding: "utf8", maxBuffer: 64 << 20 });
  if (done.error) return { ok: false, output: `${file} could not be started: ${done.error.message}` };
  return { ok: done.status === 0, output: `${done.stdout}${done.stderr}`.trim() };
}

/** @param {string[]} violations @returns {Outcome} */
function listed(violations) {
  return { ok: violations.length === 0, output: violations.join("\n") };
}

/** Sizes that are not errors yet are worth a look. @returns {Outcome} */
function adviseOnSizes() {
  const tests = ["**/*.test.ts", "test", "packages/testkit"].flatMap((pattern) => ["--ignore-pattern", pattern]);
  const found = tool("oxlint", ["--config", "packages/dev/rules/lint-advice.json", "--format", "unix", ...tests, "."]).output;
  const lines = found.split("\n").filter((line) => /max-lines/.test(line));
  return { ok: true, output: lines.join("\n") };
}

/** @type {readonly Step[]} */
const STEPS = [
  {
    name: "format",
    run: () => tool("biome", ["format", "--max-diagnostics=20", "."]),
    reason: "a diff shows what changed, not how somebody's editor is set",
    remedy: "npm run format",
  },
  {
    name: "types",
    run: () => tool("tsc", ["-b"]),
    reason: "strict types are the first test",
    remedy: "mend the types; a cast needs a reason beside it",
  },
  {
    name: "types of tests",
    run: () => tool("tsc", ["--noEmit", "-p", "tsconfig.tests.json"]),
    reason: "a test that does not type-check may test nothing",
    remedy: "mend the types of the test, or of packages/dev",
  },
  {
    name: "lint",
    run: () => tool("oxlint", ["."]),
    reason: "sizes keep one kind of code in one home; a floating promise is an error nobody sees; a cycle has no reading order",
    remedy: "split the function or file by what it does; await the promise or hand its error to a named function",
  },
  { name: "size advice", run: adviseOnSizes, reason: "", remedy: "" },
  {
    name: "boundaries",
    run: () => listed(checkBoundaries(root)),
    reason: "imports only point downwards; the table is packages/dev/rules/boundaries.mjs",
    remedy: "move the code to the package it belongs to, or pass the thing in through an interface of the lower package",
  },
  {
    name: "overlay floors",
    run: () => listed(checkOverlayFloors(root)),
    reason: "the folders of the overlay lie on each other; the order is packages/dev/rules/overlay-floors.mjs",
    remedy: "move the code to the floor that it belongs to, or let the lower folder declare an interface of what it calls",
  },
  {
    name: "folder sizes",
    run: () => listed(checkFolderSizes(root)),
    reason: "a folder of very many files hides what it holds; the limit is packages/dev/rules/folder-sizes.mjs",
    remedy: "move files that belong together into a subfolder that a reader would guess",
  },
  {
    name: "bans",
    run: () => listed(checkBans(root)),
    reason: "each ban has its own, above; the list is packages/dev/rules/bans.mjs",
    remedy: "rename or reword",
  },
  {
    name: "prose",
    run: () => run(process.execPath, ["packages/dev/prose.mjs"]),
    reason: "a reader who has to parse a sentence twice stops reading; the rules are packages/dev/prose/style.mjs",
    remedy: "reword; `node packages/dev/prose.mjs --summary FOLDER` lists all that a folder has",
  },
  {
    name: "generated code",
    run: () => run(process.execPath, ["packages/dev/generate.mjs", "--check"]),
    reason: "what both services speak must be what proto/ says, and the rule reference what the schema says",
    remedy: "npm run generate, and commit the result",
  },
  {
    name: "unused code",
    run: () => tool("knip", ["--no-progress", "--no-config-hints"]),
    reason: "code that nothing uses is read, changed and tested for nothing",
    remedy: "delete it, or declare the dependency in the package that uses it",
  },
  {
    name: "C warnings",
    run: () => listed([...checkC(root), ...checkC(root, "test/bench/load"), ...checkC(root, "test/fault/exercisers")]),
    reason: "the addon runs with privilege, the load generator measures, and in C a warning is often the only sign",
    remedy: "mend the code; a cast that silences needs a reason beside it",
  },
];

/** @param {Step} step @returns {boolean} */
function perform(step) {
  const startedMs = Date.now();
  const { ok, output } = step.run();
  console.log(`${ok ? "ok  " : "FAIL"} ${step.name} (${((Date.now() - startedMs) / 1000).toFixed(1)} s)`);
  if (!ok || step.name === "size advice") printIndented(output);
  if (!ok) printIndented(`why: ${step.reason}\nremedy: ${step.remedy}`);
  return ok;
}

/** @param {string} text */
function printIndented(text) {
  if (text) console.log(text.replace(/^/gm, "     "));
}

const wanted = process.argv.slice(2);
const strange = wanted.filter((name) => !STEPS.some((step) => step.name === name));
if (strange.length > 0) {
  console.error(`no check of that name: ${strange.join(", ")}; there are ${STEPS.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
const steps = STEPS.filter((step) => wanted.length === 0 || wanted.includes(step.name));
const failed = steps.filter((step) => !perform(step));
if (failed.length > 0) console.log(`\nfailed: ${failed.map((step) => step.name).join(", ")}`);
console.log(`\ncheck: ${steps.length - failed.length} passed, ${failed.length} failed`);
process.exitCode = failed.length > 0 ? 1 : 0;
