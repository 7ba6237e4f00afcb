// Which programs tests may call: those that every machine has, and those that a test declares. The list of system packages is
// packages/testkit/system-packages.json; here it becomes directories for PATH, and names for a package manager.
// Run by itself it prints the packages of the sets that are named: `node packages/dev/tests/programs.mjs start test`.
import { accessSync, chmodSync, constants, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** @type {{ sets: Record<string, Record<string, string[]>>, base: string[] }} */
const { sets, base } = JSON.parse(readFileSync(new URL("../../testkit/system-packages.json", import.meta.url), "utf8"));

/** @param {readonly string[]} names of sets */
export function packagesOf(names) {
  return names.flatMap((name) => Object.keys(sets[name] ?? {}));
}

/** The package that brings a command; undefined where the list has none. @param {string} command */
export function packageWith(command) {
  for (const packages of Object.values(sets))
    for (const [name, commands] of Object.entries(packages)) if (commands.includes(command)) return name;
  return undefined;
}

/** @param {string} name @param {string} path @returns {string | undefined} */
function find(name, path) {
  return path
    .split(delimiter)
    .map((directory) => join(directory, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Whether there is such a program. @param {string} directory @param {string} name @param {string} path */
function link(directory, name, path) {
  const target = find(name, path);
  if (target === undefined) return false;
  mkdirSync(directory, { recursive: true });
  symlinkSync(target, join(directory, name));
  return true;
}

/** Stands in for a command that the test did not declare. It notes its name, which fails the test (machine/programs.ts of the testkit). */
const STAND_IN = `#!/bin/sh
echo "\${0##*/}" >>"\${SLUICE_TEST_UNDECLARED:-/dev/null}"
echo "\${0##*/}: the test did not declare this program: requires(\\"command \${0##*/}\\")" >&2
exit 127
`;

/**
 * Makes DIRECTORY/base with the programs of every machine, DIRECTORY/COMMAND with each other one that is installed, and
 * DIRECTORY/undeclared with a stand-in for each of these.
 * @param {string} directory @param {string} path to search for programs
 */
export function makePrograms(directory, path) {
  for (const name of base) link(join(directory, "base"), name, path);
  mkdirSync(join(directory, "undeclared"), { recursive: true });
  for (const name of Object.values(sets).flatMap((packages) => Object.values(packages).flat())) {
    if (link(join(directory, name), name, path)) writeFileSync(join(directory, "undeclared", name), STAND_IN, { mode: 0o755 });
  }
  chmodSync(directory, 0o755);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(packagesOf(process.argv.slice(2)).join("\n"));
