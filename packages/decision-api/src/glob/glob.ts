/**
 * Matches paths against globs without ever backtracking twice: no regular expression is involved, since whoever may
 * create files chooses the names. Both matchers keep only their last star, so that one pattern costs at most
 * (length of the path) × (length of the pattern), which is bounded at load.
 */
import { type Part, parseGlob, type Segment } from "./glob-pattern.js";
import { codePointAt, sequenceLength } from "./name-bytes.js";

/** True where the byte string matches. */
export type Matcher = (path: readonly string[]) => boolean;

function classMatches(part: Part & { kind: "class" }, point: number): boolean {
  for (const [from, to] of part.ranges) if (point >= from && point <= to) return !part.negated;
  return part.negated;
}

/** Bytes of `name` at `at` that `part` takes, or -1. */
function take(part: Exclude<Part, { kind: "star" }>, name: string, at: number): number {
  switch (part.kind) {
    case "literal":
      return name.startsWith(part.bytes, at) ? part.bytes.length : -1;
    case "any":
      return at < name.length ? sequenceLength(name, at) : -1;
    case "class": {
      if (at >= name.length) return -1;
      const length = sequenceLength(name, at);
      return classMatches(part, codePointAt(name, at, length)) ? length : -1;
    }
  }
}

export function nameMatches(parts: readonly Part[], name: string): boolean {
  let part = 0;
  let at = 0;
  let starPart = -1;
  let starAt = 0;
  while (part < parts.length || at < name.length) {
    const wanted = parts[part];
    if (wanted?.kind === "star") {
      if (part === parts.length - 1) return true;
      starPart = part++;
      starAt = at;
      continue;
    }
    const taken = wanted === undefined ? -1 : take(wanted, name, at);
    if (taken >= 0) {
      part++;
      at += taken;
      continue;
    }
    // The last star takes one character more; earlier ones need not: the text behind them matched at its first place.
    if (starPart < 0 || starAt >= name.length) return false;
    starAt += sequenceLength(name, starAt);
    part = starPart + 1;
    at = starAt;
  }
  return true;
}

/** The same one level up: names for characters, `**` for the star. `from`: the first name that counts. */
export function pathMatches(pattern: readonly Segment[], names: readonly string[], from = 0): boolean {
  let part = 0;
  let at = from;
  let starPart = -1;
  let starAt = 0;
  while (part < pattern.length || at < names.length) {
    const wanted = pattern[part];
    if (wanted === "globstar") {
      if (part === pattern.length - 1) return true;
      starPart = part++;
      starAt = at;
      continue;
    }
    const name = names[at];
    if (wanted !== undefined && name !== undefined && nameMatches(wanted, name)) {
      part++;
      at++;
      continue;
    }
    if (starPart < 0 || starAt >= names.length) return false;
    part = starPart + 1;
    at = ++starAt;
  }
  return true;
}

/** A path below the mount, or an absolute one, as its names. The root has none. */
export function namesOf(path: string): readonly string[] {
  const relative = path.startsWith("/") ? path.slice(1) : path;
  return relative === "" ? [] : relative.split("/");
}

/** Throws `GlobError`. */
export function compileGlob(pattern: string, absolute: boolean): Matcher {
  const alternatives = parseGlob(pattern, absolute);
  return (names) => {
    for (const alternative of alternatives) if (pathMatches(alternative, names)) return true;
    return false;
  };
}
