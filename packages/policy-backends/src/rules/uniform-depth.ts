/**
 * From which directory of a path on a glob says the same of everything below: that all of it matches, or nothing.
 * The glob is followed along the path as the set of places it can stand at, which never backtracks.
 */
import { nameMatches, type Segment } from "@sluice/decision-api";

/** Places are bits of a number; a longer glob is taken for one that says the same of nothing. */
const MAX_SEGMENTS = 30;

/** `**` may stand for no name at all. */
function closed(pattern: readonly Segment[], places: number): number {
  let all = places;
  for (let at = 0; at < pattern.length; at++) if ((all & (1 << at)) !== 0 && pattern[at] === "globstar") all |= 1 << (at + 1);
  return all;
}

function after(pattern: readonly Segment[], places: number, name: string): number {
  let next = 0;
  for (let at = 0; at < pattern.length; at++) {
    if ((places & (1 << at)) === 0) continue;
    const segment = pattern[at] as Segment;
    if (segment === "globstar") next |= 1 << at;
    else if (nameMatches(segment, name)) next |= 1 << (at + 1);
  }
  return closed(pattern, next);
}

/** Of the paths with at least one name more. */
function saysTheSame(pattern: readonly Segment[], places: number): boolean {
  const last = pattern.length - 1;
  const nothing = (places & ((1 << pattern.length) - 1)) === 0;
  return nothing || (last >= 0 && pattern[last] === "globstar" && (places & (1 << last)) !== 0);
}

/** The least number of names, or `names.length` if there is none below that. `pattern` starts at the name `from`. */
export function uniformDepth(pattern: readonly Segment[], names: readonly string[], from: number): number {
  if (pattern.length > MAX_SEGMENTS) return names.length;
  let places = closed(pattern, 1);
  for (let depth = from; depth < names.length; depth++) {
    if (saysTheSame(pattern, places)) return depth;
    places = after(pattern, places, names[depth] as string);
  }
  return names.length;
}
