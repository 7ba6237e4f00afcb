/**
 * Decides which names a policy hides. The decision service and the mount both use this class, so that they cannot differ.
 *
 * A pattern hides the names that it matches, and everything below them. A pattern that matches the mount's root is refused.
 */
import { ANSWER_LIMITS } from "../limits.js";
import { namesOf, nameMatches, pathMatches } from "./glob.js";
import { GlobError, type Part, parseGlob, type Segment } from "./glob-pattern.js";

/** Directories whose patterns are known. */
const MAX_DIRECTORIES = 1024;

/** The patterns, applied to one directory. */
interface InDirectory {
  /** The directory is hidden itself, or lies below a hidden one. */
  whole: boolean;
  /** A name that matches one of these is hidden. */
  last: readonly (readonly Part[])[];
}

export class HiddenNames {
  readonly #patterns: readonly (readonly Segment[])[];
  readonly #directories = new Map<string, InDirectory>();

  /** Throws `GlobError`. */
  constructor(readonly globs: readonly string[]) {
    this.#patterns = globs.flatMap(parseHidden);
  }

  /** The names that one policy hides. Throws `GlobError`, also if there are more than the contract allows. */
  static ofPolicy(globs: readonly string[]): HiddenNames {
    const hidden = new HiddenNames(globs);
    if (hidden.#patterns.length <= ANSWER_LIMITS.hiddenNames) return hidden;
    throw new GlobError(
      `hidden names have more than ${ANSWER_LIMITS.hiddenNames} alternatives`,
      "hide a directory instead of each name in it",
    );
  }

  get any(): boolean {
    return this.#patterns.length > 0;
  }

  /** Is the path hidden, or a directory above it? */
  hides(path: string): boolean {
    const slash = path.lastIndexOf("/");
    return slash < 0 ? this.hidesIn("", path) : this.hidesIn(path.slice(0, slash), path.slice(slash + 1));
  }

  /** The same of a name in a directory. */
  hidesIn(directory: string, name: string): boolean {
    if (this.#patterns.length === 0) return false;
    const { whole, last } = this.#directories.get(directory) ?? this.#look(directory);
    if (whole) return true;
    for (const parts of last) if (nameMatches(parts, name)) return true;
    return false;
  }

  #look(directory: string): InDirectory {
    const names = namesOf(directory);
    const look: InDirectory = {
      whole: this.#patterns.some((pattern) => pathMatches([...pattern, "globstar"], names)),
      last: this.#patterns.flatMap((pattern) => lastParts(pattern, names)),
    };
    if (this.#directories.size >= MAX_DIRECTORIES) this.#directories.clear();
    this.#directories.set(directory, look);
    return look;
  }
}

/** The alternatives of a glob, without `**` at their ends: everything below a hidden name is hidden anyway. Throws `GlobError`. */
function parseHidden(glob: string): readonly (readonly Segment[])[] {
  return parseGlob(glob, false).map((pattern) => {
    let length = pattern.length;
    while (pattern[length - 1] === "globstar") length--;
    if (length === 0) throw new GlobError("it hides the root of the mount", "write '*' to hide everything in it");
    return pattern.slice(0, length);
  });
}

/** The last segment of the pattern, if `names` match all segments before it. */
function lastParts(pattern: readonly Segment[], names: readonly string[]): (readonly Part[])[] {
  let reached: ReadonlySet<number> = new Set([0]);
  for (const name of names) {
    const next = new Set<number>();
    for (const at of withoutGlobstars(pattern, reached)) {
      const segment = pattern[at];
      if (segment === "globstar") next.add(at);
      else if (segment !== undefined && nameMatches(segment, name)) next.add(at + 1);
    }
    reached = next;
  }
  const last = pattern.length - 1;
  return withoutGlobstars(pattern, reached).has(last) ? [pattern[last] as readonly Part[]] : [];
}

/** `**` may match nothing. */
function withoutGlobstars(pattern: readonly Segment[], reached: ReadonlySet<number>): ReadonlySet<number> {
  const all = new Set(reached);
  // A set gives the entries that are added while it is walked.
  for (const at of all) if (pattern[at] === "globstar") all.add(at + 1);
  return all;
}
