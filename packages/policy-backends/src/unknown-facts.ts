/** The facts that an engine looks at and a question does not hold. */
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
  for (const name of unknownContent(question, looksAt)) unknown.add(name);
  return [...unknown].filter((name) => isLookedAt(name, looksAt));
}

/** Content shorter than wanted may be all there is, or not: an asker that looked for less does not know. */
export function unknownContent({ resource }: Question, wanted: Pick<LooksAt, "headBytes" | "needsDigest">): readonly string[] {
  const unknown: string[] = [];
  if (wanted.headBytes > (resource.head?.askedBytes ?? 0)) unknown.push("resource.head");
  if (wanted.needsDigest && resource.digest === undefined) unknown.push("resource.digest");
  return unknown;
}

/** As much of it as was wanted, whatever else others wanted of it: one character for each byte. */
export function headOf({ resource: { head } }: Question, headBytes: number): string {
  return head === undefined ? "" : Buffer.from(head.bytes).toString("latin1", 0, Math.min(headBytes, head.bytes.length));
}

function isLookedAt(name: string, looksAt: LooksAt): boolean {
  switch (name) {
    case "subject.groups":
      return looksAt.needsGroups;
    case "subject.executable":
      return looksAt.needsExecutable;
    case "subject.cgroup":
      return looksAt.needsCgroup;
    case "resource.head":
      return looksAt.headBytes > 0;
    case "resource.digest":
      return looksAt.needsDigest;
    default:
      return !name.startsWith("resource.xattr.") || looksAt.xattrs.some((xattr) => name === `resource.xattr.${xattr}`);
  }
}
