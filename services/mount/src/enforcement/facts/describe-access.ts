/** Describes an access to the decision service: the caller and the object, with the facts that the policy in force looks at. */
import {
  type FactNeeds,
  factsLookedFor,
  HIDES_NAMES,
  type MissingFact,
  newQuestionId,
  type Question,
  UNDERSTANDS_EXCEPT,
} from "@sluice/decision-api";
import type { Intent } from "@sluice/overlay";
import type { CallContext } from "@sluice/vfs";
import type { ContentReader } from "./content-facts.js";
import { type MountFacts, readResource } from "./resource-facts.js";
import { readSubject } from "./subject-facts.js";

export interface DescribedAccess {
  readonly call: CallContext;
  readonly intent: Intent;
  readonly carried: FactNeeds;
  /** Why the content has no digest. */
  readonly noDigest?: string | undefined;
}

export function describeAccess(
  { call, intent, carried, noDigest }: DescribedAccess,
  { mount, contents, hidesNames }: { mount: MountFacts; contents: ContentReader; hidesNames: boolean },
): Question {
  const missing: MissingFact[] = [];
  const subject = readSubject(call.asker ?? call, carried, missing);
  const resource = readResource(mount, intent, carried.xattrs, missing);
  return {
    id: newQuestionId(),
    operation: intent.operation,
    accesses: intent.accesses.slice(),
    subject,
    resource: { ...resource, ...contents.read(intent.content, carried, { missing, noDigest }) },
    openFlags: intent.openFlags,
    missing,
    lookedFor: [...factsLookedFor(carried), ...(hidesNames ? [HIDES_NAMES] : []), UNDERSTANDS_EXCEPT],
  };
}
