// The settings of one run of `npm run release`: command line, version, and the one time that all files have.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../build.mjs";

/**
 * An architecture by its names. Node's name is the key.
 * @typedef {{ deb: string, rpm: string, triplet: string }} Names
 * @type {Readonly<Record<string, Names>>}
 */
export const ARCHITECTURES = {
  x64: { deb: "amd64", rpm: "x86_64", triplet: "x86_64-linux-gnu" },
  arm64: { deb: "arm64", rpm: "aarch64", triplet: "aarch64-linux-gnu" },
};

/**
 * @typedef {object} Release
 * @property {string} out directory of the artefacts
 * @property {string} work directory for intermediate files
 * @property {string} version
 * @property {string} arch a key of ARCHITECTURES
 * @property {Names} names of the architecture
 * @property {number} epoch seconds: the time of every file
 * @property {readonly string[]} kinds of artefacts to make
 */

/** An error of the user or of the machine: its message is enough. */
export class ReleaseError extends Error {}

/** @param {string} arch @returns {Names} */
export function namesOf(arch) {
  const names = ARCHITECTURES[arch];
  if (names !== undefined) return names;
  throw new ReleaseError(`--arch: unknown architecture ${arch}: choose of ${Object.keys(ARCHITECTURES).join(", ")}`);
}

/** @param {readonly string[]} known kinds of artefacts */
const usage = (known) => `usage: npm run release -- --out DIR [--arch x64|arm64] [--only KIND,...]

  --out DIR         an empty or new directory for the artefacts
  --arch ARCH       for another machine; the addon is then compiled by its cross compiler
  --only KIND,...   some of: ${known.join(", ")}

SOURCE_DATE_EPOCH is the time of every file, in seconds; the time of the last commit if it is not set.
`;

/** @returns {number} */
function epoch() {
  const given = process.env["SOURCE_DATE_EPOCH"];
  if (given !== undefined && /^\d+$/.test(given)) return Number(given);
  if (given) throw new ReleaseError(`SOURCE_DATE_EPOCH: ${given} is no number of seconds: correct it`);
  try {
    return Number(execFileSync("git", ["log", "-1", "--format=%ct"], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  } catch {
    throw new ReleaseError("the time of the last commit is not known here: set SOURCE_DATE_EPOCH");
  }
}

/** @param {string | undefined} given @returns {string} */
function emptyDirectory(given) {
  if (given === undefined) throw new ReleaseError("--out: option is missing: name an empty or new directory");
  const out = resolve(given);
  mkdirSync(out, { recursive: true });
  if (readdirSync(out).length > 0) throw new ReleaseError(`${out}: not empty: name a new directory`);
  return out;
}

/** @param {string | undefined} only @param {readonly string[]} known @returns {readonly string[]} */
function chosenKinds(only, known) {
  if (only === undefined) return known;
  const kinds = only.split(",");
  const strange = kinds.filter((kind) => !known.includes(kind));
  if (strange.length > 0) throw new ReleaseError(`--only: unknown kind ${strange.join(", ")}: choose of ${known.join(", ")}`);
  return kinds;
}

/** @param {readonly string[]} argv */
function parse(argv) {
  try {
    const options = /** @type {const} */ ({
      out: { type: "string" },
      arch: { type: "string", default: process.arch },
      only: { type: "string" },
      help: { type: "boolean" },
    });
    return parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new ReleaseError(`${/** @type {Error} */ (error).message}: see --help`);
  }
}

/** @param {readonly string[]} argv @param {readonly string[]} known kinds of artefacts @returns {Omit<Release, "work"> | undefined} undefined after --help */
export function readSettings(argv, known) {
  const { out, arch, only, help } = parse(argv);
  if (help) {
    process.stdout.write(usage(known));
    return undefined;
  }
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return { kinds: chosenKinds(only, known), out: emptyDirectory(out), version, arch, names: namesOf(arch), epoch: epoch() };
}
