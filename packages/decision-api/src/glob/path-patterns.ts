/**
 * Globs of paths. Names in one directory come one after the other, so the globs are applied to the directory once, and each name in it
 * meets a few comparisons.
 */
import { namesOf, nameMatches, pathMatches } from "./glob.js";
import { type Part, parseGlob, type Segment } from "./glob-pattern.js";

/** Directories whose patterns are known. */
const MAX_DIRECTORIES = 1024;

export interface PathPattern {
  /** Without `**` at the end. */
  segments: readonly Segment[];
  /** It matches everything below the paths that `segments` match, too. */
  deep: boolean;
}

/** The patterns, applied to one directory. */
interface InDirectory {
  /** Every name in it matches. */
  whole: boolean;
  /** These names do. */
  names: ReadonlySet<string>;
  /** A name that one of these matches. */
  last: readonly (readonly Part[])[];
}

/** The alternatives of a glob of a rule's path. Throws `GlobError`. */
export function pathPatterns(glob: string): PathPattern[] {
  return parseGlob(glob, false).map((pattern) => {
    let length = pattern.length;
    while (pattern[length - 1] === "globstar") length--;
    return { segments: pattern.slice(0, length), deep: length < pattern.length };
  });
}

export class PathPatterns {
  readonly #directories = new Map<string, InDirectory>();

  constructor(private readonly patterns: readonly PathPattern[]) {}

  /** Throws `GlobError`. */
  static of(globs: readonly string[]): PathPatterns {
    return new PathPatterns(globs.flatMap(pathPatterns));
  }

  get size(): number {
    return this.patterns.length;
  }

  /** Does one of them match the path? */
  match(path: string): boolean {
    const slash = path.lastIndexOf("/");
    return slash < 0 ? this.matchIn("", path) : this.matchIn(path.slice(0, slash), path.slice(slash + 1));
  }

  /** The same of a name in a directory. */
  matchIn(directory: string, name: string): boolean {
    if (this.patterns.length === 0) return false;
    const { whole, names, last } = this.#directories.get(directory) ?? this.#look(directory);
    if (whole || names.has(name)) return true;
    for (const parts of last) if (nameMatches(parts, name)) return true;
    return false;
  }

  #look(directory: string): InDirectory {
    const above = namesOf(directory);
    const last = this.patterns.flatMap(({ segments }) => lastParts(segments, above));
    const look: InDirectory = {
      whole: this.patterns.some(({ segments, deep }) => deep && pathMatches([...segments, "globstar"], above)),
      names: new Set(last.map(literalOf).filter((name) => name !== undefined)),
      last: last.filter((parts) => literalOf(parts) === undefined),
    };
    if (this.#directories.size >= MAX_DIRECTORIES) this.#directories.clear();
    this.#directories.set(directory, look);
    return look;
  }
}

/** The only name that the parts match, if there is only one. */
function literalOf(parts: readonly Part[]): string | undefined {
  const [part] = parts;
  return parts.length === 1 && part?.kind === "literal" ? part.bytes : undefined;
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
