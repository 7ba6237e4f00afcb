/** The rules that decide accesses, and the accesses that each decides. Rules that hide names decide none. */
import { type Access, ALL_ACCESSES, type Effect, GlobError, parseGlob, type Segment } from "@sluice/decision-api";
import type { RuleDocument } from "./policy-schema.js";

const ANY: ReadonlySet<Access> = new Set(ALL_ACCESSES);
/** The accesses of a permitting rule that names none: deleting and metadata are the file system's own matter. */
const USE: ReadonlySet<Access> = new Set<Access>(["read", "write", "execute", "create", "link", "rename", "truncate"]);

/** The accesses of a rule, or of the default, that names none. */
export function impliedAccesses(effect: Effect): ReadonlySet<Access> {
  return effect === "deny" ? ANY : USE;
}

/** A rule that says how an access is decided. */
export type PermittingOrDenying = RuleDocument & { effect: Effect };

export function judges(rule: RuleDocument): rule is PermittingOrDenying {
  return rule.effect !== "hide";
}

/** Nobody may change anything that is read-only, so such a rule is about all accesses. */
export function accessesOf(rule: PermittingOrDenying): ReadonlySet<Access> {
  if (rule.access === undefined) return rule.obligations?.readOnly === true ? ANY : impliedAccesses(rule.effect);
  const accesses = new Set(rule.access);
  if (accesses.has("write")) accesses.add("truncate");
  return accesses;
}

/** The rule's globs, without braces; none: it matches every path. Undefined if one has a mistake, which is told elsewhere. */
export function pathGlobs({ path = [] }: RuleDocument): readonly (readonly Segment[])[] | undefined {
  try {
    return path.flatMap((glob) => parseGlob(glob, false));
  } catch (error) {
    if (error instanceof GlobError) return undefined;
    throw error;
  }
}
