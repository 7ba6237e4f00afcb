/** Which of the facts that an engine looks at a question does not hold. */
import type { Question } from "@sluice/decision-api";
import type { LooksAt } from "./policy-kind.js";

/**
 * Names as in `MissingFact`. One that was not sent is missing like one that could not be read: the policy changed after it
 * was asked, or the mount service is of an older version.
 */
export function unknownFacts(question: Question, looksAt: LooksAt): readonly string[] {
  const { subject, resource } = question;
  const unknown = new Set(question.missing.map(({ name }) => name));
  const looked = (fact: string): boolean => question.lookedFor?.includes(fact) ?? false;
  if (looksAt.needsExecutable && subject.executable === undefined) unknown.add("subject.executable");
  if (looksAt.needsCgroup && subject.cgroup === undefined) unknown.add("subject.cgroup");
  if (looksAt.needsGroups && (subject.groups === undefined || subject.groups.length === 0) && !looked("subject.groups"))
    unknown.add("subject.groups");
  for (const name of looksAt.xattrs)
    if (!resource.xattrs.has(name) && !looked(`resource.xattr.${name}`)) unknown.add(`resource.xattr.${name}`);
  return [...unknown].filter((name) => isLookedAt(name, looksAt));
}

function isLookedAt(name: string, { needsGroups, needsExecutable, needsCgroup, xattrs }: LooksAt): boolean {
  switch (name) {
    case "subject.groups":
      return needsGroups;
    case "subject.executable":
      return needsExecutable;
    case "subject.cgroup":
      return needsCgroup;
    default:
      return !name.startsWith("resource.xattr.") || xattrs.some((xattr) => name === `resource.xattr.${xattr}`);
  }
}
