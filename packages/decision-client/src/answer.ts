/** An answer off the wire → the fate of its question. Nothing of a malformed one is used. */
import { decisionFromProto, DecisionError, wire } from "@sluice/decision-api";
import type { ConversationListener } from "./conversation.js";
import type { PendingQuestion } from "./pending-question.js";

function settleFailure(pending: PendingQuestion, failure: wire.Failure, listener: ConversationListener): void {
  const message = failure.message.slice(0, 1024);
  switch (failure.code) {
    case wire.Failure_Code.OVERLOADED:
      listener.returned(pending);
      return;
    case wire.Failure_Code.DEADLINE:
      pending.reject(new DecisionError("deadline", `decision took too long: ${message}`));
      return;
    case wire.Failure_Code.INVALID_QUESTION:
    case wire.Failure_Code.INTERNAL:
    case wire.Failure_Code.UNSPECIFIED:
    case wire.Failure_Code.UNRECOGNIZED:
      pending.reject(new DecisionError("refused", `question was refused: ${message}`));
  }
}

export function settleDecision(pending: PendingQuestion, decision: wire.Decision | undefined, listener: ConversationListener): void {
  try {
    const domain = decisionFromProto(decision);
    listener.answered();
    pending.resolve(domain);
  } catch (error) {
    if (!(error instanceof DecisionError)) throw error;
    listener.malformed(error.message);
    pending.reject(error);
  }
}

export function settleAnswer(pending: PendingQuestion, answer: wire.Answer, listener: ConversationListener): void {
  const { result } = answer;
  if (result?.$case === "failure") settleFailure(pending, result.value, listener);
  else settleDecision(pending, result?.value, listener);
}
