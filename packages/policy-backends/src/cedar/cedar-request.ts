/** A question in Cedar's words: the subject and the resource as entities, with the ancestors that some policy names. */
import type { FactNeeds, Question } from "@sluice/decision-api";
import { factsOf } from "../facts.js";
import type { BooleanQuestion } from "../two-questions.js";

export interface EntityId {
  type: string;
  id: string;
}
export interface Entity {
  uid: EntityId;
  attrs: Record<string, unknown>;
  parents: EntityId[];
}
export interface CedarRequest {
  principal: EntityId;
  action: EntityId;
  resource: EntityId;
  context: { access: string };
  /** The two of the question; the thread adds those of the configuration. */
  user: Entity;
  file: Entity;
}

const group = (id: number): EntityId => ({ type: "Group", id: String(id) });

function above(path: string, directories: ReadonlySet<string>): EntityId[] {
  const named: EntityId[] = [];
  if (directories.has("")) named.push({ type: "Directory", id: "" });
  for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
    const id = path.slice(0, end);
    if (directories.has(id)) named.push({ type: "Directory", id });
  }
  return named;
}

/** `directories` and `groups` as in `CedarUses`; `labels`: those that policies may read. */
export function requestsOf(
  question: Question,
  asks: readonly BooleanQuestion[],
  {
    directories,
    groups,
    labels,
    content,
  }: {
    directories: ReadonlySet<string>;
    groups: boolean;
    labels: readonly string[];
    content: Pick<FactNeeds, "headBytes" | "needsDigest">;
  },
): CedarRequest[] {
  const facts = factsOf(question, content);
  // A label that the schema lacks would be an error of the request.
  const label = Object.fromEntries(Object.entries(question.resource.labels ?? {}).filter(([name]) => labels.includes(name)));
  return asks.map((ask): CedarRequest => {
    const { subject, resource, access } = facts(ask);
    const { groups: memberOf, ...userAttrs } = subject;
    const principal = { type: "User", id: String(subject.uid) };
    const file = { type: "File", id: resource.path };
    const action = { type: "Action", id: ask.action === "open" ? access : "passthrough" };
    // Cedar's numbers are whole and signed, of 64 bits; JSON carries these exactly up to 2^53.
    const fileAttrs = { ...resource, xattr: { ...resource.xattr }, label };
    return {
      principal,
      action,
      resource: file,
      context: { access },
      user: { uid: principal, attrs: userAttrs, parents: groups ? [...new Set([subject.gid, ...memberOf])].map(group) : [] },
      file: { uid: file, attrs: fileAttrs, parents: above(resource.path, directories) },
    };
  });
}
