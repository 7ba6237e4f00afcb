/**
 * A decider that is used before its service answers: questions wait until it is ready, and everything that needs no decision goes on
 * meanwhile. It is for a server that takes over, whose callers do not expect a start.
 */
import type { CancelSignal, Decider } from "@sluice/decision-api";

function readyOrAborted(ready: Promise<unknown>, signal: CancelSignal | undefined): Promise<unknown> {
  if (signal === undefined) return ready;
  const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  return signal.aborted ? Promise.resolve() : Promise.race([ready, aborted]);
}

/** `ready` resolves when the service has named the policy in force, or when the wait for that is over; it never rejects. */
export function delayUntilReady(decider: Decider, ready: Promise<unknown>): Decider {
  let isReady = false;
  void ready.then(() => {
    isReady = true;
  });
  return {
    decide: (question, signal) => {
      if (isReady) return decider.decide(question, signal);
      return readyOrAborted(ready, signal).then(() => decider.decide(question, signal));
    },
    recall: (inquiry) => decider.recall?.(inquiry),
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
