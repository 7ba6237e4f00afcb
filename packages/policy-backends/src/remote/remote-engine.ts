/** An engine elsewhere as an `Engine`. Nobody here knows which facts it looked at, so its answers are never cached. */
import type { Question } from "@sluice/decision-api";
import type { Ruling } from "../backend.js";
import type { Engine, LooksAt } from "../policy-kind.js";
import { type BooleanQuestion, askTwoQuestions, type Reply } from "../two-questions.js";
import { unknownFacts } from "../unknown-facts.js";

export interface RemoteParts {
  looksAt: LooksAt;
  askAll(question: Question, asks: readonly BooleanQuestion[]): Promise<readonly Reply[]>;
  close(): Promise<void>;
}

const EACCES = 13;

/** A missing fact that an engine needs is a denial: nobody here knows which of its rules look at it. */
export function forWantOf(fact: string, question: Question): Ruling {
  const why = question.missing.find(({ name }) => name === fact)?.reason ?? "it was not sent";
  return { effect: "deny", errno: EACCES, rule: "missing-fact", reason: `${fact} is missing: ${why}`, obligations: [] };
}

export function remoteEngine({ looksAt, askAll, close }: RemoteParts): Engine {
  return {
    looksAt,
    ruleCount: 0,
    warnings: [],
    evaluate(question) {
      const [fact] = unknownFacts(question, looksAt);
      return fact === undefined ? askTwoQuestions(question, (asks) => askAll(question, asks)) : forWantOf(fact, question);
    },
    dispose: close,
  };
}
