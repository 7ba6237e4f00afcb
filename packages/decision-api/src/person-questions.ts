/** Questions for a person, and a person's answers, between domain and wire. */
import { questionFromProto, questionToProto } from "./convert-question.js";
import { DecisionError, PERSON_ANSWERS, type PersonAnswer, type Question } from "./domain.js";
import * as wire from "./gen/sluice/decision/v1/decision.js";

/** A question on a service's list, or one that has an answer. */
export interface PersonQuestion {
  askId: string;
  /** As the first of its callers asked it. */
  question: Question;
  rule: string;
  policyId: string;
  /** Callers that wait now. */
  waiting: number;
  /** Milliseconds since 1970. */
  sinceMs: number;
  /** When it leaves the list; undefined for an answer that holds. */
  untilMs: number | undefined;
  /** Undefined: it has none yet. */
  answer: PersonAnswer | undefined;
  answeredBy: string;
}

/** The part of a decider that knows questions for a person. */
export interface PersonQuestions {
  list(): Promise<readonly PersonQuestion[]>;
  /** Why the answer was not taken, as a sentence; undefined if it was. `by`: the person, for the decision log. */
  answer(askId: string, answer: PersonAnswer, by: string): Promise<string | undefined>;
}

const WIRE_ANSWER: Readonly<Record<PersonAnswer, wire.PersonAnswer>> = {
  once: wire.PersonAnswer.ONCE,
  session: wire.PersonAnswer.SESSION,
  always: wire.PersonAnswer.ALWAYS,
  deny: wire.PersonAnswer.DENY,
  revoke: wire.PersonAnswer.REVOKE,
};

export function personAnswerToProto(answer: PersonAnswer | undefined): wire.PersonAnswer {
  return answer === undefined ? wire.PersonAnswer.UNSPECIFIED : WIRE_ANSWER[answer];
}

/** Undefined for an answer that is unspecified or unknown. */
export function personAnswerFromProto(answer: wire.PersonAnswer): PersonAnswer | undefined {
  return PERSON_ANSWERS.find((each) => WIRE_ANSWER[each] === answer);
}

export function personQuestionToProto(asked: PersonQuestion): wire.PersonQuestion {
  return {
    askId: asked.askId,
    question: questionToProto(asked.question),
    rule: asked.rule,
    policyId: asked.policyId,
    waiting: asked.waiting,
    sinceMs: BigInt(asked.sinceMs),
    untilMs: BigInt(asked.untilMs ?? 0),
    answer: personAnswerToProto(asked.answer),
    answeredBy: asked.answeredBy,
  };
}

/** Undefined if it cannot be understood. */
export function personQuestionFromProto(asked: wire.PersonQuestion): PersonQuestion | undefined {
  try {
    return {
      askId: asked.askId,
      question: questionFromProto(asked.askId, asked.question),
      rule: asked.rule,
      policyId: asked.policyId,
      waiting: asked.waiting,
      sinceMs: Number(asked.sinceMs),
      untilMs: asked.untilMs === 0n ? undefined : Number(asked.untilMs),
      answer: personAnswerFromProto(asked.answer),
      answeredBy: asked.answeredBy,
    };
  } catch (error) {
    if (error instanceof DecisionError) return undefined;
    throw error;
  }
}
