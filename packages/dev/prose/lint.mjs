// Runs textlint over the pages and sources of a checkout. Knows files and findings; judges no count.
import { readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { TextlintKernel } from "@textlint/kernel";
import { parse } from "@textlint/markdown-to-ast";
import { listFiles } from "../rules/source-files.mjs";
import { blocksOf } from "./blocks.mjs";
import { PAGE_RULES, RULES, wordCounter } from "./rules.mjs";

/**
 * @typedef {{ path: string, line: number, rule: string, message: string }} Finding
 * @typedef {{ words: number, findings: Finding[] }} Report
 * @typedef {{ folder: string } & Report} FolderReport
 * @typedef {import("@textlint/kernel").TextlintMessage[]} Messages
 */

const PAGE = /\.md$/;
const SOURCE = /\.(ts|mts|mjs|c|h|cc|proto|sh|ya?ml)$|(^|\/)Dockerfile|^\.ci\/run$/;
// What the rules are, and files that plant violations, speak of the words. The lock file and fixtures are not ours to write.
const EXEMPT = /^packages\/dev\/prose\/|^test\/architecture\/prose|(^|\/)fixtures?\/|\.d\.ts$|^\.git\//;

/** @param {string} root @param {string} [below] a folder or file */
export function proseFiles(root, below = "") {
  const inside = (/** @type {string} */ path) => below === "" || path === below || path.startsWith(`${below.replace(/\/$/, "")}/`);
  return listFiles(root).filter((path) => (PAGE.test(path) || SOURCE.test(path)) && !EXEMPT.test(path) && inside(path));
}

/**
 * The folder that a file is counted in: a package, a service, a folder of test/, a page of the root.
 * @param {string} path
 */
export function folderOf(path) {
  const [first = "", second = ""] = path.split("/");
  return /^(packages|services|test)$/.test(first) ? `${first}/${second}` : first;
}

/**
 * @param {string} path decides about the language
 * @param {string} text
 * @returns {Promise<Report>}
 */
export async function lintText(path, text) {
  let words = 0;
  const rules = { ...RULES, ...(PAGE.test(path) ? PAGE_RULES : {}), count: wordCounter((count) => (words += count)) };
  const { messages } = await new TextlintKernel().lintText(text, {
    filePath: path,
    ext: extname(path) || ".sh",
    plugins: [{ pluginId: "prose", plugin: { Processor } }],
    rules: Object.entries(rules).map(([ruleId, rule]) => ({ ruleId, rule })),
  });
  return { words, findings: messages.map(({ line, ruleId, message }) => ({ path, line, rule: ruleId, message })) };
}

/** @param {string} root @param {readonly string[]} paths @returns {Promise<FolderReport[]>} */
export async function lintFolders(root, paths) {
  /** @type {Map<string, FolderReport>} */
  const folders = new Map();
  for (const path of paths) {
    const folder = folderOf(path);
    const sum = folders.get(folder) ?? { folder, words: 0, findings: [] };
    const { words, findings } = await lintText(path, readFileSync(join(root, path), "utf8"));
    folders.set(folder, { folder, words: sum.words + words, findings: sum.findings.concat(findings) });
  }
  return [...folders.values()];
}

/** Makes a document of textlint from a page, or from the blocks of a source. */
class Processor {
  availableExtensions() {
    return [".md", ".ts", ".mts", ".mjs", ".c", ".h", ".cc", ".proto", ".sh", ".yml", ".yaml"];
  }

  processor() {
    return {
      preProcess: (/** @type {string} */ text, path = "") => (PAGE.test(path) ? parse(text) : documentOf(text, path)),
      postProcess: (/** @type {Messages} */ messages, path = "") => ({ messages, filePath: path }),
    };
  }
}

/** @param {string} source @param {string} path @returns {import("@textlint/ast-node-types").TxtDocumentNode} */
function documentOf(source, path) {
  const lines = [0, ...[...source.matchAll(/\n/g)].map(({ index }) => index + 1)];
  const position = (/** @type {number} */ offset) => {
    const line = lines.findLastIndex((start) => start <= offset);
    return { line: line + 1, column: offset - (lines[line] ?? 0) };
  };
  /** @param {string} type @param {number} start @param {number} end @param {object} more */
  const node = (type, start, end, more) => ({
    type,
    raw: source.slice(start, end),
    range: [start, end],
    loc: { start: position(start), end: position(end) },
    ...more,
  });
  const children = blocksOf(path, source).map(({ kind, pieces }) => {
    const parts = pieces.map(({ start, end, code }) => node(code ? "Code" : "Str", start, end, { value: source.slice(start, end) }));
    return node("Paragraph", pieces[0]?.start ?? 0, pieces.at(-1)?.end ?? 0, { kind, children: parts });
  });
  const made = /** @type {unknown} */ (node("Document", 0, source.length, { children }));
  // The kernel checks the shape of what a plugin makes.
  return /** @type {import("@textlint/ast-node-types").TxtDocumentNode} */ (made);
}
