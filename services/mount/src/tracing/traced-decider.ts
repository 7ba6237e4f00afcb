/** A decider with a span for each question: a child of the open's span, and the parent of the service's spans. */
import type { CancelSignal, Decider, Decision, Question } from "@sluice/decision-api";
import type { Span, Tracing } from "@sluice/runtime";

function answered(span: Span, { effect, source, rule, decisionId }: Decision): void {
  span.add({ "sluice.effect": effect, "sluice.source": source, "sluice.rule": rule, "sluice.decision_id": decisionId });
  span.end();
}

export function tracedDecider(decider: Decider, tracing: Tracing): Decider {
  const decide = (question: Question, signal: CancelSignal | undefined): Decision | Promise<Decision> => {
    const span = tracing.child("decision", question.traceparent, { "sluice.operation": question.operation });
    if (span === undefined) return decider.decide(question, signal);
    const decision = decider.decide({ ...question, traceparent: span.traceparent }, signal);
    if (decision instanceof Promise)
      decision.then(
        (made) => answered(span, made),
        (error: unknown) => span.end(String(error)),
      );
    else answered(span, decision);
    return decision;
  };
  return {
    decide,
    ...(decider.recall === undefined ? {} : { recall: (inquiry) => decider.recall?.(inquiry) }),
    tellEnforced: (report) => decider.tellEnforced?.(report),
    capabilities: () => decider.capabilities(),
    onPolicyChange: (listener) => decider.onPolicyChange(listener),
    get people() {
      return decider.people;
    },
    status: () => decider.status(),
    close: () => decider.close(),
  };
}
