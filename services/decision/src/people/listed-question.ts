/** Questions for a person and their answers, as lists show them. */
import { type PersonAnswer, type PersonQuestion, plainQuestion } from "@sluice/decision-api";
import type { WrittenAnswer } from "./answer-file.js";
import type { Entry } from "./person-desk.js";

/** `untilMs`: 0 for an answer that holds. */
export function listed({
  id,
  question,
  rule,
  policyId,
  waiters,
  sinceMs,
  untilMs,
  once,
}: Omit<Entry, "identity" | "endsMs">): PersonQuestion {
  return {
    askId: id,
    question,
    rule,
    policyId,
    waiting: waiters.size,
    sinceMs,
    untilMs: untilMs === 0 ? undefined : untilMs,
    // Nobody's answer is not listed.
    answer: once?.scope as PersonAnswer | undefined,
    answeredBy: once?.by ?? "",
  };
}

/** The file has the identity of the question alone. */
export function writtenQuestion(askId: string, { identity, by, atMs }: WrittenAnswer): PersonQuestion {
  const { mount, rule, policyId, uid, executable, accesses, paths } = identity;
  const plain = plainQuestion(paths[0], askId);
  return {
    askId,
    question: {
      ...plain,
      accesses,
      subject: { uid, gid: 0, groups: [], pid: 0, executable },
      resource: { ...plain.resource, mount, paths },
    },
    rule,
    policyId,
    waiting: 0,
    sinceMs: atMs,
    untilMs: undefined,
    answer: "always",
    answeredBy: by,
  };
}
