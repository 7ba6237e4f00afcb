/** The questions for a person, and the answers. Transport only. */
import { type handleUnaryCall, status } from "@grpc/grpc-js";
import { personAnswerFromProto, personQuestionToProto, type wire } from "@sluice/decision-api";
import type { PersonDesk } from "../people/person-desk.js";

const MAX_BY = 256;
const NOT_HERE = { code: status.PERMISSION_DENIED, details: "answers are taken on a unix socket or in the console" };

/** `local`: the service listens on a unix socket, so that the kernel tells who connects. */
export function listHandler(
  desk: PersonDesk,
  local: boolean,
): handleUnaryCall<wire.ListPersonQuestionsRequest, wire.ListPersonQuestionsResponse> {
  return (call, callback) => {
    if (local) callback(null, { questions: desk.list(call.request.mount).map(personQuestionToProto) });
    else callback(NOT_HERE);
  };
}

export function answerHandler(
  desk: PersonDesk,
  local: boolean,
): handleUnaryCall<wire.AnswerPersonQuestionRequest, wire.AnswerPersonQuestionResponse> {
  return (call, callback) => {
    const { askId, answer, answeredBy } = call.request;
    const known = personAnswerFromProto(answer);
    if (!local) callback(NOT_HERE);
    else if (known === undefined || answeredBy === "" || answeredBy.length > MAX_BY)
      callback({ code: status.INVALID_ARGUMENT, details: "the answer is unknown, or nobody gives it" });
    else callback(null, { refused: desk.answer(askId, known, answeredBy) ?? "" });
  };
}
