/**
 * Patterns that cover given paths: one for a directory in which many of them lie. Nothing else is made more general, and never the whole
 * tree: a directory that is hardly used is no pattern.
 */

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
  return name.includes(NO_TEXT) ? "*" : name.replace(/[\\*?[\]{},!]/g, "\\$&");
}

/** The glob of one path. */
export function exactPattern(path: string): string {
  return path.split("/").map(literal).join("/");
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
  return [...new Set([...root.below].flatMap(([name, below]) => reduce(below, literal(name))))].sort();
}
