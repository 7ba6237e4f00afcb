/** Chooses differences by paths and `!patterns`. */
import { realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { toBytes, toText } from "@sluice/native";
import { wrong } from "@sluice/runtime/cli";
import { argumentBytes } from "./argument-bytes.js";
import { isWithin } from "./difference.js";

const SPECIAL = /[.+^${}()|\\]/g;

/** `*` and `?` stay within a name, `**` crosses names. */
function expressionOf(pattern: string): string {
  const piece = /\*\*\/|\*\*|\*|\?|\[!?[^\]/]+\]|\\?[^]/g;
  const translate = (text: string): string => {
    if (text === "**/") return "(?:.*/)?";
    if (text === "**") return ".*";
    if (text === "*") return "[^/]*";
    if (text === "?") return "[^/]";
    if (text.length > 1 && text.startsWith("[")) return text.replace(/^\[!/, "[^").replaceAll("\\", "\\\\");
    return (text.length > 1 ? text.slice(1) : text).replace(SPECIAL, "\\$&").replace(/[[\]*?]/g, "\\$&");
  };
  return pattern.replace(piece, translate);
}

/** A pattern without a slash matches a name anywhere, one with a slash a path from the top. It matches everything in a directory, too. */
function matcherOf(pattern: string): (path: string) => boolean {
  const trimmed = pattern.replace(/\/+$/, "");
  if (trimmed === "") throw wrong(`!${pattern}`, "the pattern is empty", "name the changes to leave out");
  const anywhere = trimmed.includes("/") ? "" : "(?:.*/)?";
  try {
    const expression = new RegExp(`^${anywhere}${expressionOf(trimmed.replace(/^\.?\//, ""))}(?:/.*)?$`, "s");
    return (path) => expression.test(path);
  } catch {
    throw wrong(pattern, "the pattern is malformed", "close its brackets");
  }
}

/** The directory may also be reached by symbolic links. The last names need not exist any more. */
function withoutLinks(path: string): string {
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    try {
      return join(realpathSync.native(Buffer.from(directory, "latin1"), "latin1"), path.slice(directory.length));
    } catch {
      if (directory === "/") return path;
    }
  }
}

/** Below the directory. @throws CliError */
function pathsIn(directory: string, words: readonly string[]): string[] {
  const base = toBytes(directory);
  const within = (word: string): string => {
    if (word === "") throw wrong('""', "the path is empty", 'name a path in the directory of the session, or "." for all of it');
    const path = word.replace(/(?!^)\/+$/, "");
    if (!path.startsWith("/")) return path.replace(/^(\.\/+)+/, "").replace(/^\.$/, "");
    const real = isWithin(path, base) ? path : withoutLinks(path);
    if (isWithin(real, base)) return real.slice(base.length + 1);
    // The path may be a link to the directory itself.
    if (withoutLinks(`${path}/.`) === base) return "";
    throw wrong(toText(word), `the path is not in ${directory}`, "name a path in the directory of the session");
  };
  return words
    .filter((word) => !word.startsWith("!"))
    .flatMap(argumentBytes)
    .map(within);
}

/** The paths that the words name, without those in them. @param words as of `selectorOf`. @throws CliError */
export function namedBy(base: string, words: readonly string[]): ReadonlySet<string> {
  return new Set(pathsIn(base, words));
}

/** The paths among the words of which nothing is there. @param words as of `selectorOf`. @throws CliError */
export function missingOf(base: string, words: readonly string[], isThere: (path: string) => boolean): string[] {
  return words.filter((word) => !word.startsWith("!") && !pathsIn(base, [word]).some(isThere));
}

/** @param words paths below the directory, or absolute ones in it, and patterns of paths to leave out, which begin with "!" */
export function selectorOf(base: string, words: readonly string[]): (path: string) => boolean {
  const paths = pathsIn(base, words);
  const left = words
    .filter((word) => word.startsWith("!"))
    .flatMap(argumentBytes)
    .map((word) => matcherOf(word.slice(1)));
  return (path) =>
    (paths.length === 0 || paths.some((wanted) => wanted === "" || isWithin(path, wanted))) && !left.some((matches) => matches(path));
}
