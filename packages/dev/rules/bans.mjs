// Words and names that may not appear in the tree, each with its reason. Searches text; knows no syntax.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { listFiles } from "./source-files.mjs";

/**
 * @typedef {object} Ban
 * @property {string} name
 * @property {RegExp} [text] found in a line of a file
 * @property {RegExp} [file] found in the base name of a file
 * @property {RegExp} [opening] must match the start of a file
 * @property {(path: string) => boolean} in which files it holds for
 * @property {string} reason
 */

const SOURCE = /\.(ts|mts|mjs|js|c|h|cc|sh|proto|yaml|yml|json|md)$|(^|\/)(Dockerfile[^/]*|run)$/;
const CODE = /\.(ts|mts|mjs|c|h|cc)$/;
// This file spells out what it bans, and its test plants violations.
const SPEAKS_OF_BANS = /^packages\/dev\/rules\/|^test\/architecture\//;

/** @param {RegExp} pattern @returns {(path: string) => boolean} */
const filesLike = (pattern) => (path) => pattern.test(path) && path !== "package-lock.json";

const OVERLAY = /^packages\/overlay\/src\/(?!.*\.test\.ts$)/;
// Changes of layers without a caller's permit: copies in the scratch directory, marks, the index of hard links, and an
// earlier process' unfinished work. None of it is a caller's operation.
const UPKEEP =
  /^packages\/overlay\/src\/((copy-up|marks|node|journal|restore|layer)\/|(open-scratch|(open|leave)-link-index)\.ts|operations\/(purge-directory|directories)\.ts)/;

/** @type {readonly Ban[]} */
export const BANS = [
  {
    name: "permit outside of the judgement",
    text: /\bissuePermit\b|\bas (unknown as )?Permit\b/,
    in: (path) => OVERLAY.test(path) && !/\/(gate\/govern|layer\/permit)\.ts$/.test(path),
    reason: "an operation gets its permit from gate/govern.ts, which compares what was judged with what is there",
  },
  {
    name: "layer changed without a permit",
    text: /\b(upkeep|emptyDirectory|removeTree)\b/,
    in: (path) => OVERLAY.test(path) && !UPKEEP.test(path),
    reason: "a caller's operation changes a layer by effects(permit) alone, so that it cannot skip its judgement",
  },
  {
    name: "file made without a permit",
    text: /\bO\.(CREAT|TMPFILE)\b/,
    in: (path) => /^packages\/overlay\/src\/(handles|io|open|operations|merge|gate|locks)\/(?!.*\.test\.ts$)/.test(path),
    reason: "makeFile and makeNamelessFile take the permit of the operation",
  },
  {
    name: "vague file name",
    file: /^(utils?|commons?|helpers?|misc|managers?)(\.|-|$)|-(utils?|helpers?|misc|manager)\./,
    in: filesLike(CODE),
    reason: "such a file gathers what has no home; name it after the one thing it exports",
  },
  {
    name: "file name that is not kebab-case",
    file: /[A-Z_]/,
    in: filesLike(/\.(ts|mts|mjs|c|h|cc)$/),
    reason: "files are found by name; one spelling for all",
  },
  {
    name: "no opening comment",
    opening: /^(#!.*\n)?\s*(\/\/|\/\*|#)/,
    in: (path) => /\.(ts|mjs|c|h|cc)$/.test(path) && !/\.test\.ts$|(^|\/)index\.ts$/.test(path),
    reason: "a file starts with what it is, and what it is not, so that a reader knows whether to read on",
  },
  {
    name: "note to self",
    text: /\b(TODO|FIXME|XXX|HACK)\b/,
    in: filesLike(SOURCE),
    reason: "a lack belongs where users and colleagues read it: an issue, or a sentence in the documentation",
  },
  {
    name: "path of one machine",
    text: /(?<![\w$}])\/(home\/[a-z]\w*\/(?!\.ssh)|Users\/\w+\/|work\/|root\/(?!\.))/,
    in: filesLike(CODE),
    reason: "it works on the machine it was written on and on no other; derive it from import.meta.url or take it as an option",
  },
  {
    name: "test that keeps others from running",
    text: /\b(describe|it|test|suite)(\.\w+)*\.only\b/,
    in: filesLike(/\.test\.ts$/),
    reason: "the rest of the file would be silently left out",
  },
  {
    name: "skip without a requirement",
    text: /\b(describe|it|test|suite)(\.\w+)*\.(skip|todo|skipIf|runIf|fails)\b|\bcontext\.skip\b/,
    in: filesLike(/\.test\.ts$/),
    reason: "a skip names what the machine lacks: use requires() of @sluice/testkit",
  },
  {
    name: "lint switched off without a reason",
    text: /(oxlint|eslint|biome)-(disable|ignore)(?!.*(--|: )\s*\S)|@ts-(ignore|nocheck)\b/,
    in: filesLike(/\.(ts|mts|mjs)$/),
    reason: "write the reason behind ` -- `; @ts-expect-error is the one that tells when it is no longer needed",
  },
];

/**
 * @param {string} root
 * @returns {string[]} one line a violation
 */
export function checkBans(root) {
  return listFiles(root)
    .filter((path) => !SPEAKS_OF_BANS.test(path))
    .flatMap((path) => violationsIn(root, path));
}

/** @param {string} root @param {string} path */
function violationsIn(root, path) {
  const bans = BANS.filter((ban) => ban.in(path));
  const named = bans.filter((ban) => ban.file?.test(basename(path))).map((ban) => describeViolation(path, ban));
  const read = bans.filter((ban) => ban.text || ban.opening);
  if (read.length === 0) return named;
  const source = readFileSync(join(root, path), "utf8");
  return named.concat(read.flatMap((ban) => violationsOf(ban, path, source)));
}

/** @param {Ban} ban @param {string} path @param {string} source */
function violationsOf(ban, path, source) {
  if (ban.opening) return ban.opening.test(source) ? [] : [describeViolation(`${path}:1`, ban)];
  return source.split("\n").flatMap((line, index) => (ban.text?.test(line) ? [describeViolation(`${path}:${index + 1}`, ban)] : []));
}

/** @param {string} where @param {Ban} ban */
function describeViolation(where, ban) {
  return `${where}: ${ban.name}\n    why: ${ban.reason}`;
}
