/** Turns an answer from the wire into the fate of its question. A malformed answer is not used at all. */
import { type Decision, decisionFromProto, DecisionError, type ReceivedAnswer, wire } from "@sluice/decision-api";
import type { ConversationListener } from "./conversation.js";
import type { PendingQuestion } from "../pool/pending-question.js";

function completeWithFailure(pending: PendingQuestion, failure: wire.Failure, listener: ConversationListener): void {
  const message = failure.message.slice(0, 1024);
  switch (failure.code) {
    case wire.Failure_Code.OVERLOADED:
      listener.returned(pending);
      return;
    case wire.Failure_Code.DEADLINE:
      pending.reject(new DecisionError("deadline", `decision took too long: ${message}`));
      return;
    case wire.Failure_Code.INTERNAL:
      pending.reject(new DecisionError("failed", `question was not evaluated: ${message}`));
      return;
    case wire.Failure_Code.INVALID_QUESTION:
    case wire.Failure_Code.UNSPECIFIED:
    case wire.Failure_Code.UNRECOGNIZED:
      pending.reject(new DecisionError("refused", `question was refused: ${message}`));
  }
}

function judged(decision: wire.Decision | undefined): Decision | DecisionError {
  try {
    return decisionFromProto(decision);
  } catch (error) {
    if (error instanceof DecisionError) return error;
    throw error;
  }
}

function complete(pending: PendingQuestion, decision: Decision | DecisionError, listener: ConversationListener): void {
  if (decision instanceof DecisionError) {
    listener.malformed(decision.message);
    pending.reject(decision);
    return;
  }
  listener.answered();
  pending.resolve(decision);
}

export function completeWithDecision(pending: PendingQuestion, decision: wire.Decision | undefined, listener: ConversationListener): void {
  complete(pending, judged(decision), listener);
}

export function completeWithAnswer(pending: PendingQuestion, answer: ReceivedAnswer, listener: ConversationListener): void {
  if ("failure" in answer) completeWithFailure(pending, answer.failure, listener);
  else complete(pending, answer.decision, listener);
}
