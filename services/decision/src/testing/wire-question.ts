/** A question on the wire, and the unary way to ask it. For tests. */
import { plainQuestion, questionToProto, wire } from "@sluice/decision-api";

export function question(path: string, change: Partial<wire.Question> = {}): wire.Question {
  return { ...questionToProto(plainQuestion(path)), ...change };
}

export const decide = (from: wire.DecisionServiceClient, request: wire.DecideRequest): Promise<wire.DecideResponse> =>
  new Promise((resolve, reject) => from.decide(request, (error, response) => (error === null ? resolve(response) : reject(error))));
