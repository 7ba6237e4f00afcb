/**
 * All replicas behind one target. A question goes to the less loaded of two; one whose replica breaks goes to another,
 * or waits for one to come back. Deadlines are not kept here: whoever asked gives up by `abandon`.
 */
import { DecisionError, type PolicyCapabilities } from "@sluice/decision-api";
import type { Dialer } from "./channel.js";
import type { DecisionClientEvents } from "./decision-client-events.js";
import { mergeCapabilities } from "./merge-capabilities.js";
import type { PendingQuestion } from "./pending-question.js";
import { Replica, type ReplicaListener } from "./replica.js";
import type { Greeting } from "./session-conversation.js";
import { resolveTarget, type Target } from "./target.js";

const DISCOVERY_MIN_MS = 500;
const DISCOVERY_SPREAD_MS = 500;
const OVERLOAD_PAUSE_MS = 20;

/** Whether the addresses of a target can change. */
function mayMove(target: Target): boolean {
  return target.kind === "dns" || (target.kind === "list" && target.targets.some(mayMove));
}

export interface PoolParts {
  target: Target;
  dialer: Dialer;
  greeting: Greeting;
  events: DecisionClientEvents;
  onPolicy(capabilities: PolicyCapabilities): void;
}

export class ReplicaPool {
  private readonly replicas = new Map<string, Replica>();
  /** Where each question is, so that it can be abandoned; in `waiting` while nobody can be asked. */
  private readonly placed = new Map<PendingQuestion, Replica>();
  private readonly waiting = new Set<PendingQuestion>();
  private discovery: NodeJS.Timeout | undefined;
  private lastHeard: PolicyCapabilities | undefined;
  private closed = false;
  /** Since when nobody can be asked, on the clock of performance.now(); undefined while somebody can. */
  private aloneSinceMs: number | undefined = performance.now();

  constructor(private readonly parts: PoolParts) {
    void this.discover();
  }

  get capabilities(): PolicyCapabilities | undefined {
    if (this.lastHeard === undefined) return undefined;
    const others = [...this.replicas.values()].flatMap((replica) =>
      replica.ready && replica.capabilities !== undefined ? [replica.capabilities] : [],
    );
    return mergeCapabilities(this.lastHeard, others);
  }

  /** How long nobody could be asked; 0 while somebody can. */
  aloneForMs(): number {
    return this.aloneSinceMs === undefined ? 0 : performance.now() - this.aloneSinceMs;
  }

  describe(): { address: string; state: string; inFlight: number }[] {
    return [...this.replicas.values()].map(({ address, stateName, inFlight }) => ({ address, state: stateName, inFlight }));
  }

  ask(pending: PendingQuestion): void {
    const replica = this.pick();
    if (replica === undefined) {
      this.waiting.add(pending);
      return;
    }
    this.placed.set(pending, replica);
    replica.ask(pending);
  }

  /** Settled or given up: in either case it is nobody's business any more. */
  release(pending: PendingQuestion): void {
    this.waiting.delete(pending);
    const replica = this.placed.get(pending);
    this.placed.delete(pending);
    replica?.cancel(pending);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.discovery);
    for (const replica of this.replicas.values()) replica.close();
    this.replicas.clear();
    const left = new Set([...this.waiting, ...this.placed.keys()]);
    this.waiting.clear();
    this.placed.clear();
    for (const pending of left) pending.reject(new DecisionError("closed", "the connection to the decision service is closed"));
  }

  private pick(): Replica | undefined {
    const ready = [...this.replicas.values()].filter((replica) => replica.ready);
    if (ready.length < 2) return ready[0];
    const one = ready[Math.floor(Math.random() * ready.length)] as Replica;
    const other = ready[Math.floor(Math.random() * ready.length)] as Replica;
    return other.inFlight < one.inFlight ? other : one;
  }

  private readonly listener: ReplicaListener = {
    ready: () => {
      this.aloneSinceMs = undefined;
      const waiting = [...this.waiting];
      this.waiting.clear();
      for (const pending of waiting) this.ask(pending);
    },
    policy: (capabilities) => {
      this.lastHeard = capabilities;
      this.parts.onPolicy(this.capabilities ?? capabilities);
    },
    orphaned: (questions, why) => this.adopt(questions, why),
    changed: () => {
      if (![...this.replicas.values()].some((replica) => replica.ready)) this.aloneSinceMs ??= performance.now();
    },
  };

  private adopt(questions: readonly PendingQuestion[], why: "broken" | "overloaded"): void {
    const wanted = questions.filter((pending) => !pending.settled);
    for (const pending of wanted) {
      this.placed.delete(pending);
      this.waiting.add(pending);
    }
    if (this.closed || wanted.length === 0) return;
    this.parts.events.replayed(wanted.length);
    // Not at once: the replica that let go of them is about to say that it is not ready any more.
    const again = (): void => {
      for (const pending of wanted) if (this.waiting.delete(pending)) this.ask(pending);
    };
    if (why === "broken") queueMicrotask(again);
    else setTimeout(again, OVERLOAD_PAUSE_MS);
  }

  private async discover(): Promise<void> {
    try {
      this.update(await resolveTarget(this.parts.target));
    } catch {
      // A name server that fails says nothing of the replicas: those that are known stay.
    }
    if (this.closed || (!mayMove(this.parts.target) && this.replicas.size > 0)) return;
    this.discovery = setTimeout(() => void this.discover(), DISCOVERY_MIN_MS + Math.random() * DISCOVERY_SPREAD_MS);
  }

  private update(addresses: readonly string[]): void {
    if (this.closed) return;
    for (const address of addresses) {
      if (this.replicas.has(address)) continue;
      const { dialer, greeting, events } = this.parts;
      this.replicas.set(address, new Replica(address, { dialer, greeting, events, listener: this.listener }));
    }
    for (const [address, replica] of this.replicas) {
      if (addresses.includes(address)) continue;
      this.replicas.delete(address);
      replica.retire();
    }
  }
}
