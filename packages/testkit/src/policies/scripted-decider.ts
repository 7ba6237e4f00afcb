// A decider that answers as a test says, and remembers its questions. Speaks no gRPC: for tests of its callers.
import {
  type CancelSignal,
  type Decider,
  type DeciderStatus,
  type Decision,
  type Effect,
  NO_FACTS,
  type PolicyCapabilities,
  type PolicyRevision,
  type Question,
} from "@sluice/decision-api";

export type Script = (question: Question, signal: CancelSignal | undefined) => Effect | Decision | Promise<Effect | Decision>;

const REVISION: PolicyRevision = { sequence: 1n, digest: "0".repeat(64) };
const EACCES = 13;

/** An answer with everything but its effect filled in. */
export function decisionOf(effect: Effect, rest: Partial<Decision> = {}): Decision {
  return {
    effect,
    errno: EACCES,
    decisionId: "scripted",
    policyId: "scripted",
    rule: "default",
    revision: REVISION,
    reason: "as scripted",
    obligations: [],
    source: "service",
    ...rest,
  };
}

export class ScriptedDecider implements Decider {
  /** In the order of arrival. */
  readonly questions: Question[] = [];
  readonly #script: Script;
  readonly #listeners = new Set<(capabilities: PolicyCapabilities) => void>();
  #capabilities: PolicyCapabilities | undefined;
  #closed = false;

  constructor(script: Script | Effect, capabilities: Partial<PolicyCapabilities> = {}) {
    this.#script = typeof script === "string" ? () => script : script;
    this.#capabilities = {
      revision: REVISION,
      policyId: "scripted",
      accesses: new Set(),
      ...NO_FACTS,
      unconditionalGrant: false,
      ...capabilities,
    };
  }

  decide(question: Question, signal: CancelSignal | undefined): Decision | Promise<Decision> {
    this.questions.push(question);
    const answer = this.#script(question, signal);
    return answer instanceof Promise ? answer.then(complete) : complete(answer);
  }

  capabilities(): PolicyCapabilities | undefined {
    return this.#capabilities;
  }

  onPolicyChange(listener: (capabilities: PolicyCapabilities) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Puts another policy in force and tells the listeners. */
  changePolicy(capabilities: PolicyCapabilities): void {
    this.#capabilities = capabilities;
    for (const listener of this.#listeners) listener(capabilities);
  }

  status(): DeciderStatus {
    const { revision, policyId } = this.#capabilities ?? {};
    return { target: "scripted", state: this.#closed ? "closed" : "ready", replicas: [], revision, policyId };
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }
}

function complete(answer: Effect | Decision): Decision {
  return typeof answer === "string" ? decisionOf(answer) : answer;
}
