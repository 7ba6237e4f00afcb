/**
 * Patterns that cover given paths: one for a directory in which many of them lie. Nothing else is made more general, and never the whole
 * tree: a directory that is hardly used is no pattern.
 */

import { MAX_GLOB_LENGTH } from "@sluice/decision-api";

/** A directory with more paths or patterns than this becomes one pattern. */
const MAX_IN_DIRECTORY = 8;
/** The replacement of bytes that are no text. */
const NO_TEXT = "\ufffd";

interface Branch {
  /** Whether the path that ends here was given. */
  itself: boolean;
  below: Map<string, Branch>;
}

const branch = (): Branch => ({ itself: false, below: new Map() });

/** As a glob that matches nothing but this name; if it is no text, any name. */
function literal(name: string): string {
  // "+(" and "@(" begin an extended glob.
  return name.includes(NO_TEXT) ? "*" : name.replace(/[\\*?[\]{},!]|(?<=[+@])\(/g, "\\$&");
}

/** The glob of one path; none if no glob is for this path alone. */
export function exactPattern(path: string): string[] {
  const pattern = path.split("/").map(literal).join("/");
  return path.includes(NO_TEXT) || pattern.length > MAX_GLOB_LENGTH ? [] : [pattern];
}

/** A pattern that is longer than a glob may be becomes one for the deepest directory that has a glob. */
function fitting(pattern: string): string[] {
  if (pattern.length <= MAX_GLOB_LENGTH) return [pattern];
  const end = pattern.lastIndexOf("/", MAX_GLOB_LENGTH - "/**".length);
  return end < 0 ? [] : [`${pattern.slice(0, end)}/**`];
}

function reduce(at: Branch, pattern: string): string[] {
  const inside = [...at.below].flatMap(([name, below]) => reduce(below, `${pattern}/${literal(name)}`));
  const many = inside.length > MAX_IN_DIRECTORY;
  return [...(at.itself ? [pattern] : []), ...(many ? [`${pattern}/**`] : inside)];
}

/** Sorted. `paths` are relative to the root, which has no pattern of its own. */
export function patternsFor(paths: Iterable<string>): string[] {
  const root = branch();
  for (const path of paths) {
    let at = root;
    for (const name of path.split("/")) {
      const next = at.below.get(name) ?? branch();
      at.below.set(name, next);
      at = next;
    }
    at.itself = true;
  }
  return [...new Set([...root.below].flatMap(([name, below]) => reduce(below, literal(name))).flatMap(fitting))].sort();
}
