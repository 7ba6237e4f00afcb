/** The decision contract: domain types, the generated wire types as `wire`, and the one converter between them. */
export * from "./convert.js";
export { questionExcess, questionFromProto, questionToProto } from "./convert-question.js";
export * from "./domain.js";
export { parseDurationMs } from "./duration.js";
export * from "./fact-needs.js";
export * as wire from "./gen/sluice/decision/v1/decision.js";
export { AnswerReader, encodeAnswers, type ReceivedAnswer, type SentAnswer } from "./hot/answer-codec.js";
export { type Below, DirectStream } from "./hot/direct-stream.js";
export { frame, unframed } from "./hot/frames.js";
export { MessageWriter } from "./hot/message-writer.js";
export { decodeQuestions, encodeQuestions, type ReceivedQuestion, type SentQuestion } from "./hot/question-codec.js";
export * from "./inquiry.js";
export * from "./limits.js";
export * from "./mount-report.js";
export { mintIds, newQuestionId } from "./mint-ids.js";
export { plainQuestion, usualOperation } from "./plain-question.js";
export { mergeScopes, strictest } from "./strictest.js";
