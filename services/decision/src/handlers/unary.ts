/** Decide and GetCapabilities: one question, one answer. Transport only. */
import { type handleUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { capabilitiesToProto, type Decision, decisionToProto, questionFromProto, wire } from "@sluice/decision-api";
import type { DecisionEngine } from "../engine/decision-engine.js";
import { failureOf, type Refusals } from "./failure.js";

const STATUS_OF: Readonly<Partial<Record<wire.Failure_Code, status>>> = {
  [wire.Failure_Code.INVALID_QUESTION]: status.INVALID_ARGUMENT,
  [wire.Failure_Code.OVERLOADED]: status.RESOURCE_EXHAUSTED,
  [wire.Failure_Code.DEADLINE]: status.DEADLINE_EXCEEDED,
};

function refuse(error: unknown, refusals: Refusals, callback: sendUnaryData<wire.DecideResponse>): void {
  const { code, message } = failureOf(error, refusals);
  callback({ code: STATUS_OF[code] ?? status.INTERNAL, details: message });
}

export function decideHandler(engine: DecisionEngine, refusals: Refusals): handleUnaryCall<wire.DecideRequest, wire.DecideResponse> {
  return (call, callback) => {
    const { questionId, question, traceparent } = call.request;
    const reply = (decision: Decision): void => callback(null, { questionId, decision: decisionToProto(decision) });
    try {
      engine.refresh();
      const gone = new AbortController();
      // Whoever waits for a person may go.
      call.on("cancelled", () => gone.abort());
      const decision = engine.decide({ ...questionFromProto(questionId, question), traceparent }, gone.signal);
      if (decision instanceof Promise) decision.then(reply, (error: unknown) => refuse(error, refusals, callback));
      else reply(decision);
    } catch (error) {
      refuse(error, refusals, callback);
    }
  };
}

export function capabilitiesHandler(engine: DecisionEngine): handleUnaryCall<wire.GetCapabilitiesRequest, wire.GetCapabilitiesResponse> {
  return (_call, callback) => {
    engine.refresh();
    callback(null, { capabilities: capabilitiesToProto(engine.capabilities()) });
  };
}
