/** Checks whether an answered question still describes the object: it compares the facts that the policy looked at, and asks nobody. */
import { type Decision, type Question, xattrText } from "@sluice/decision-api";
import type { Intent } from "@sluice/overlay";
import type { ContentReader } from "./facts/content-facts.js";
import { readResource } from "./facts/resource-facts.js";

/** How `Question.lookedFor` names an extended attribute. */
const XATTR_FACT = "resource.xattr.";

export interface AnsweredQuestion {
  question: Question;
  decision: Decision | undefined;
  contents: Pick<ContentReader, "holds">;
}

/** The caller has compared paths, owner and mode. Only a copy-up changes the layer, and that is the same object. */
export function isStillAsked({ question, decision, contents }: AnsweredQuestion, now: Intent): boolean {
  const { resource, lookedFor } = question;
  const names = lookedFor?.flatMap((fact) => (fact.startsWith(XATTR_FACT) ? [fact.slice(XATTR_FACT.length)] : [])) ?? [];
  const is = readResource(resource, now, names, []);
  if (is.kind !== resource.kind) return false;
  if (names.some((name) => xattrText(is.xattrs.get(name)) !== xattrText(resource.xattrs.get(name)))) return false;
  // Files grow all the time: the size counts only if the answer says that it was looked at.
  if (decision?.scope?.resource.includes("size") === true && is.sizeBytes !== resource.sizeBytes) return false;
  return now.content === undefined || !looksInside(resource) || contents.holds(now.content, resource);
}

/** Whether it carries a fact of the content. */
export function looksInside({ head, digest }: Question["resource"]): boolean {
  return head !== undefined || digest !== undefined;
}
