/** Asks the pool, until the deadline or until the asker is interrupted, whichever comes first. */
import {
  type CancelSignal,
  type Decision,
  DecisionError,
  factsLookedFor,
  type PolicyCapabilities,
  type Question,
} from "@sluice/decision-api";
import { AskedQuestion } from "../pool/pending-question.js";
import type { ReplicaPool } from "../pool/replica-pool.js";

export type Decide = (question: Question, signal: CancelSignal | undefined) => Promise<Decision>;

/** The wait of a question after an outage longer than a deadline: long enough for a service that returns just now. */
const OUTAGE_PATIENCE_MS = 250;

function cancelled(): DecisionError {
  return new DecisionError("cancelled", "the asker was interrupted");
}

function tooLate(pool: ReplicaPool, patienceMs: number): DecisionError {
  const reached = pool.aloneForMs() === 0;
  const message = reached ? `no decision within ${patienceMs} ms` : "no decision service can be reached: start it or correct the target";
  return new DecisionError(reached ? "deadline" : "unreachable", message);
}

/** The facts to look for change only with the policy, so the list is built once for each policy. */
function lookedForMemo(): (capabilities: PolicyCapabilities | undefined) => readonly string[] {
  let of: PolicyCapabilities | undefined;
  let facts: readonly string[] = [];
  return (capabilities) => {
    if (capabilities !== of) {
      of = capabilities;
      facts = capabilities === undefined ? [] : factsLookedFor(capabilities);
    }
    return facts;
  };
}

export function withDeadline(pool: ReplicaPool, timeoutMs: number, capabilities: () => PolicyCapabilities | undefined): Decide {
  const lookedFor = lookedForMemo();
  return (question, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(cancelled());
        return;
      }
      const usualMs = pool.aloneForMs() > timeoutMs ? Math.min(OUTAGE_PATIENCE_MS, timeoutMs) : timeoutMs;
      // The service denies in time by itself. While none can be reached, the caller waits for one to return.
      const patienceMs = question.awaitsPersonMs ?? usualMs;
      const finish = (): void => {
        signal?.removeEventListener("abort", interrupt);
        pool.release(pending);
      };
      const pending = new AskedQuestion(
        question.lookedFor === undefined ? { ...question, lookedFor: lookedFor(capabilities()) } : question,
        performance.now() + patienceMs,
        {
          resolve: (decision) => {
            finish();
            resolve(decision);
          },
          reject: (error) => {
            finish();
            reject(error);
          },
          expire: () => pending.reject(tooLate(pool, patienceMs)),
        },
      );
      const interrupt = (): void => pending.reject(cancelled());
      signal?.addEventListener("abort", interrupt);
      pool.ask(pending);
    });
}
