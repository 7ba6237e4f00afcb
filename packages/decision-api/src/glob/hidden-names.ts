/**
 * Decides which names a policy hides. The decision service and the mount both use this class, so that they cannot differ.
 *
 * A pattern hides the names that it matches, and everything below them. A pattern that matches the mount's root is refused.
 */
import { ANSWER_LIMITS } from "../limits.js";
import { GlobError } from "./glob-pattern.js";
import { type PathPattern, PathPatterns, pathPatterns } from "./path-patterns.js";

export class HiddenNames {
  readonly #patterns: PathPatterns;

  /** Throws `GlobError`. */
  constructor(readonly globs: readonly string[]) {
    this.#patterns = new PathPatterns(globs.flatMap(hiddenPatterns));
  }

  /** The names that one policy hides. Throws `GlobError`, also if there are more than the contract allows. */
  static ofPolicy(globs: readonly string[]): HiddenNames {
    const hidden = new HiddenNames(globs);
    if (hidden.#patterns.size <= ANSWER_LIMITS.hiddenNames) return hidden;
    throw new GlobError(
      `hidden names have more than ${ANSWER_LIMITS.hiddenNames} alternatives`,
      "hide a directory instead of each name in it",
    );
  }

  get any(): boolean {
    return this.#patterns.size > 0;
  }

  /** Is the path hidden, or a directory above it? */
  hides(path: string): boolean {
    return this.#patterns.match(path);
  }

  /** The same of a name in a directory. */
  hidesIn(directory: string, name: string): boolean {
    return this.#patterns.matchIn(directory, name);
  }
}

/** Everything below a hidden name is hidden, whether or not the glob ends in `**`. Throws `GlobError`. */
function hiddenPatterns(glob: string): PathPattern[] {
  const patterns = pathPatterns(glob);
  if (patterns.some(({ segments }) => segments.length === 0))
    throw new GlobError("it hides the root of the mount", "write '*' to hide everything in it");
  return patterns.map(({ segments }) => ({ segments, deep: true }));
}
