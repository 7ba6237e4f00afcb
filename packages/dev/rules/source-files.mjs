// Lists the sources that rules look at and finds the modules they import. A scanner, not a parser.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

const SKIPPED_FOLDERS = new Set(["node_modules", "dist", "build", "bundle", ".git", "gen"]);

/**
 * Every file below `folder`, as paths relative to `root`, without generated and installed files.
 * @param {string} root
 * @param {string} folder
 * @returns {string[]}
 */
export function listFiles(root, folder = ".") {
  /** @type {string[]} */
  const found = [];
  /** @param {string} directory */
  const walk = (directory) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name)) walk(path);
      else if (entry.isFile()) found.push(relative(root, path));
    }
  };
  walk(join(root, folder));
  return found.sort();
}

/**
 * Removes comments, so that an import that is only spoken of is not counted. String contents stay: an import's module
 * name is one.
 * @param {string} source
 */
function withoutComments(source) {
  return source.replace(
    /\/\*[\s\S]*?\*\/|(^|[\s;{}(])\/\/[^\n]*/g,
    (match, before) => (before ?? "") + "\n".repeat(match.split("\n").length - 1),
  );
}

// `import x from "m"`, `import "m"`, `export * from "m"`, `import("m")`, `import type …`; also over several lines.
const IMPORT = /\b(?:import|export)\b(?:[\w\s{},*$]*?\bfrom)?\s*\(?\s*(["'])([^"'\n]+)\1/g;

/**
 * @param {string} root
 * @param {string} path relative to root
 * @returns {{ module: string, line: number }[]}
 */
export function importsOf(root, path) {
  const source = withoutComments(readFileSync(join(root, path), "utf8"));
  return [...source.matchAll(IMPORT)].map((match) => ({
    module: match[2] ?? "",
    line: source.slice(0, match.index).split("\n").length,
  }));
}
