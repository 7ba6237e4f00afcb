/** Which facts a question carries, and whether those are all that a policy looks at. */
import type { PolicyCapabilities } from "@sluice/decision-api";

export type FactNeeds = Pick<PolicyCapabilities, "needsGroups" | "needsExecutable" | "needsCgroup" | "xattrs">;

/** Before the first word of the service: whatever can be read without knowing its name. */
export const ALL_NAMELESS_FACTS: FactNeeds = { needsGroups: true, needsExecutable: true, needsCgroup: true, xattrs: [] };

export function covers(carried: FactNeeds, needed: FactNeeds): boolean {
  return (
    (carried.needsGroups || !needed.needsGroups) &&
    (carried.needsExecutable || !needed.needsExecutable) &&
    (carried.needsCgroup || !needed.needsCgroup) &&
    needed.xattrs.every((name) => carried.xattrs.includes(name))
  );
}

export function union(one: FactNeeds, other: FactNeeds): FactNeeds {
  return {
    needsGroups: one.needsGroups || other.needsGroups,
    needsExecutable: one.needsExecutable || other.needsExecutable,
    needsCgroup: one.needsCgroup || other.needsCgroup,
    xattrs: [...new Set([...one.xattrs, ...other.xattrs])],
  };
}
