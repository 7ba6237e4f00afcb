/**
 * Callers that wait for a person, each in an open of a file that exists. A waiting caller holds a request of the kernel, so their
 * number is bounded: beyond it an open is denied at once, and its question stays on the service's list.
 */
import { cpus } from "node:os";
import { type Decider, type Decision, DecisionError, type PendingPerson, type Question } from "@sluice/decision-api";
import type { Intent } from "@sluice/overlay";
import { Cancellation, type CancelSignal } from "@sluice/vfs";

/** An open that waits now, or a question that was left on the list since its caller could not wait. */
export interface PersonWait {
  askId: string;
  question: Question;
  rule: string;
  sinceMs: number;
  untilMs: number;
  waits: boolean;
}

/** A question that a person is asked, and the rule that asks. */
export interface AskedPerson {
  question: Question;
  rule: string;
  pending: PendingPerson;
}
export type PersonWaitListener = (change: "asked" | "left", wait: PersonWait) => void;

const MOST = 64;
/** A ring of io_uring has few entries for each of many processors, and a waiting request holds one. */
const MOST_ON_ALL = 2048;
const LEAST = 4;
/** Asking for them takes long, and a process may take over many mounts at once. */
const PROCESSORS = cpus().length;
/** The service denies first; this is for one that does not. */
const GRACE_MS = 5_000;

/** The kernel holds no lock of a directory during an open of a file that exists: everybody else goes on meanwhile. */
export function mayWaitForPerson({ operation, compares }: Intent): boolean {
  return operation === "open" && compares !== true;
}

export class PersonWaits {
  readonly most = Math.min(MOST, Math.max(LEAST, Math.floor(MOST_ON_ALL / PROCESSORS)));
  readonly #waits = new Set<PersonWait & { end: Cancellation }>();
  readonly #listeners = new Set<PersonWaitListener>();
  /** Opens that were denied since too many waited. */
  crowdedOut = 0;
  #closed = false;

  get waiting(): number {
    return this.#waits.size;
  }

  all(): readonly PersonWait[] {
    return [...this.#waits];
  }

  /** Calls with each question from now on. @returns a function that stops it */
  listen(listener: PersonWaitListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** A question was left on the list: its caller cannot wait. */
  recorded(question: Question, rule: string, pending: PendingPerson): void {
    this.#tell("asked", waitOf(question, rule, pending, false));
  }

  /**
   * The decision after a person answered, or their time was over. Undefined: too many wait already. Rejects with `DecisionError`:
   * "cancelled" if the caller was interrupted, "closed" at the end of the mount.
   */
  wait(decider: Decider, asked: AskedPerson, signal: CancelSignal): Promise<Decision> | undefined {
    const { question, rule, pending } = asked;
    if (this.#waits.size >= this.most || this.#closed) {
      this.crowdedOut++;
      this.#tell("asked", waitOf(question, rule, pending, false));
      return undefined;
    }
    const wait = { ...waitOf(question, rule, pending, true), end: new Cancellation() };
    this.#waits.add(wait);
    this.#tell("asked", wait);
    const awaiting = { ...question, awaitsPersonMs: pending.timeoutMs + GRACE_MS };
    return decideUntil(decider, awaiting, { signal, end: wait.end }).finally(() => {
      this.#waits.delete(wait);
      this.#tell("left", wait);
    });
  }

  /** Denies all that wait. */
  endAll(): void {
    for (const { end } of this.#waits) end.abort();
  }

  /** The same, and nobody waits from now on. */
  close(): void {
    this.#closed = true;
    this.endAll();
  }

  #tell(change: "asked" | "left", wait: PersonWait): void {
    for (const listener of this.#listeners) listener(change, wait);
  }
}

/** `signal`: the caller was interrupted. `end`: the mount ends. */
async function decideUntil(
  decider: Decider,
  question: Question,
  { signal, end }: { signal: CancelSignal; end: Cancellation },
): Promise<Decision> {
  const both = new Cancellation();
  const stop = (): void => both.abort();
  signal.addEventListener("abort", stop, { once: true });
  end.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    return await decider.decide(question, both);
  } catch (error) {
    if (end.aborted) throw new DecisionError("closed", "an unmount ended the wait for a person", { cause: error });
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function waitOf(question: Question, rule: string, { askId, timeoutMs }: PendingPerson, waits: boolean): PersonWait {
  const sinceMs = Date.now();
  return { askId, question, rule, sinceMs, untilMs: sinceMs + timeoutMs, waits };
}
