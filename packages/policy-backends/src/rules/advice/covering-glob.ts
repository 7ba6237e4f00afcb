/** Decides whether one glob matches every path that another one matches. Says no in doubt. */
import { nameMatches, type Part, type Segment } from "@sluice/decision-api";

type Names = readonly Part[];

function literalOf(parts: Names): string | undefined {
  const [part] = parts;
  return parts.length === 1 && part?.kind === "literal" ? part.bytes : undefined;
}

function nameCovers(wide: Names, narrow: Names): boolean {
  if (wide.length === 1 && wide[0]?.kind === "star") return true;
  const literal = literalOf(narrow);
  return literal === undefined ? JSON.stringify(wide) === JSON.stringify(narrow) : nameMatches(wide, literal);
}

/** As in `pathMatches`, with a glob for the names: a `**` of the narrow glob stands for any names, so only one of the wide glob takes it. */
export function globCovers(wide: readonly Segment[], narrow: readonly Segment[]): boolean {
  let atWide = 0;
  let atNarrow = 0;
  let starWide = -1;
  let starNarrow = 0;
  while (atWide < wide.length || atNarrow < narrow.length) {
    const one = wide[atWide];
    const other = narrow[atNarrow];
    if (one === "globstar") {
      starWide = atWide++;
      starNarrow = atNarrow;
    } else if (one !== undefined && other !== undefined && other !== "globstar" && nameCovers(one, other)) {
      atWide++;
      atNarrow++;
    } else {
      if (starWide < 0 || starNarrow >= narrow.length) return false;
      atWide = starWide + 1;
      atNarrow = ++starNarrow;
    }
  }
  return true;
}

/** The names with which every match of the glob begins. */
export function literalBeginning(glob: readonly Segment[]): readonly string[] {
  const names: string[] = [];
  for (const segment of glob) {
    const name = segment === "globstar" ? undefined : literalOf(segment);
    if (name === undefined) break;
    names.push(name);
  }
  return names;
}
