/** Which facts a policy looks at beside those that every question carries. Nobody reads or sends more than these. */

export interface FactNeeds {
  needsGroups: boolean;
  needsExecutable: boolean;
  needsCgroup: boolean;
  /** Extended attributes, by name. */
  xattrs: readonly string[];
  /** Of the beginning of the content; 0: none. */
  headBytes: number;
  needsDigest: boolean;
}

export const NO_FACTS: FactNeeds = {
  needsGroups: false,
  needsExecutable: false,
  needsCgroup: false,
  xattrs: [],
  headBytes: 0,
  needsDigest: false,
};

/** Of whatever carries more than them. */
export function factNeedsOf({ needsGroups, needsExecutable, needsCgroup, xattrs, headBytes, needsDigest }: FactNeeds): FactNeeds {
  return { needsGroups, needsExecutable, needsCgroup, xattrs, headBytes, needsDigest };
}

/** Is there nothing in `needed` that was not `carried`? */
export function coversFactNeeds(carried: FactNeeds, needed: FactNeeds): boolean {
  return (
    (carried.needsGroups || !needed.needsGroups) &&
    (carried.needsExecutable || !needed.needsExecutable) &&
    (carried.needsCgroup || !needed.needsCgroup) &&
    (carried.needsDigest || !needed.needsDigest) &&
    carried.headBytes >= needed.headBytes &&
    needed.xattrs.every((name) => carried.xattrs.includes(name))
  );
}

/** The facts that any of them needs. */
export function uniteFactNeeds(all: readonly FactNeeds[]): FactNeeds {
  return {
    needsGroups: all.some((each) => each.needsGroups),
    needsExecutable: all.some((each) => each.needsExecutable),
    needsCgroup: all.some((each) => each.needsCgroup),
    xattrs: [...new Set(all.flatMap((each) => each.xattrs))],
    headBytes: Math.max(0, ...all.map((each) => each.headBytes)),
    needsDigest: all.some((each) => each.needsDigest),
  };
}

/** The asker hides names by itself, as `PolicyCapabilities.hiddenNames` has them. */
export const HIDES_NAMES = "resource.hidden";
/** The asker understands `CacheScope.except`. */
export const UNDERSTANDS_EXCEPT = "scope.except";
/** The asker wants `Decision.mayMatch`. */
export const WANTS_MAY_MATCH = "decision.may_match";

/** The facts that a policy with these needs has its asker look for, as in `Question.lookedFor`. Head and digest tell by themselves. */
export function factsLookedFor({ xattrs, needsGroups, needsExecutable, needsCgroup }: FactNeeds): readonly string[] {
  const facts = xattrs.map((name) => `resource.xattr.${name}`);
  if (needsGroups) facts.push("subject.groups");
  if (needsExecutable) facts.push("subject.executable");
  if (needsCgroup) facts.push("subject.cgroup");
  return facts;
}
