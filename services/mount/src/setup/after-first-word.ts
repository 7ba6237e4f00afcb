/**
 * A decider that is used before its service has said a word: who asks waits for that word, and everything that needs no
 * decision goes on meanwhile. For a server that takes over, whose callers know of no start.
 */
import type { Decider } from "@sluice/decision-api";

function wordOrEnd(word: Promise<unknown>, signal: AbortSignal | undefined): Promise<unknown> {
  if (signal === undefined) return word;
  const ended = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  return signal.aborted ? Promise.resolve() : Promise.race([word, ended]);
}

/** `word` resolves when the service has said which policy is in force, or when it is waited for no longer; it never rejects. */
export function afterFirstWord(decider: Decider, word: Promise<unknown>): Decider {
  let said = false;
  void word.then(() => {
    said = true;
  });
  return {
    decide: (question, signal) => {
      if (said) return decider.decide(question, signal);
      return wordOrEnd(word, signal).then(() => decider.decide(question, signal));
    },
    recall: (inquiry) => decider.recall?.(inquiry),
    capabilities: () => decider.capabilities(),
    onPolicyChange: (listener) => decider.onPolicyChange(listener),
    status: () => decider.status(),
    close: () => decider.close(),
  };
}
