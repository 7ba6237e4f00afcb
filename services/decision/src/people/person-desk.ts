/**
 * Questions for a person: those that wait for an answer, and the answers that hold. A policy that asks is evaluated for each open, so an
 * answer only ever takes the place of "ask": a rule that denies, and a new policy, come first.
 *
 *   once     for the callers that wait, or else for the next attempt
 *   session  in memory, until the service ends
 *   always   in a file, until it is revoked
 *   deny     in memory, until the service ends or it is revoked
 */
import type { PersonAnswer, PersonQuestion, Question } from "@sluice/decision-api";
import type { AnswerFile, WrittenAnswer } from "./answer-file.js";
import { type AskIdentity, askIdOf, identityOf } from "./ask-identity.js";
import { listed, writtenQuestion } from "./listed-question.js";

export interface AnsweredAsk {
  allowed: boolean;
  /** For how long: "once", "session", "always", "deny", or "timeout" if nobody answered. */
  scope: Exclude<PersonAnswer, "revoke"> | "timeout";
  by: string;
}

/** "again": the policy changed meanwhile, and the one in force is to be asked. */
export type Waited = AnsweredAsk | "again";

/** A question of a policy in force. */
export interface Asked {
  question: Question;
  rule: string;
  policyId: string;
}

interface Waiter {
  resolve(waited: Waited): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

/** A question without an answer, or with one for the next attempt. */
export interface Entry extends Asked {
  id: string;
  identity: AskIdentity;
  sinceMs: number;
  untilMs: number;
  /** The same on the clock of performance.now(): somebody may set the other one back. */
  endsMs: number;
  waiters: Set<Waiter>;
  once: AnsweredAsk | undefined;
}

interface Standing extends Asked {
  identity: AskIdentity;
  sinceMs: number;
  answered: AnsweredAsk;
}

/** How long a question stays on the list after its last attempt, and an answer for the next attempt holds. */
const LISTED_MS = 600_000;
const MAX_LISTED = 1_000;
const MAX_STANDING = 10_000;

function listedFromNow(): Pick<Entry, "untilMs" | "endsMs"> {
  return { untilMs: Date.now() + LISTED_MS, endsMs: performance.now() + LISTED_MS };
}

/** The service ends, or takes no question: another replica may know more. */
export class DeskClosed extends Error {
  override readonly name = "DeskClosed";
}

export interface DeskOptions {
  /** How long a caller waits. */
  timeoutMs: number;
  /** Undefined: no answer holds for ever. */
  file: AnswerFile | undefined;
  /** The list or the waiters changed. */
  changed(): void;
}

export class PersonDesk {
  readonly timeoutMs: number;
  readonly #options: DeskOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #standing = new Map<string, Standing>();
  #closed = false;

  constructor(options: DeskOptions) {
    this.#options = options;
    this.timeoutMs = options.timeoutMs;
  }

  /** Questions without an answer, and callers that wait. */
  get counts(): { open: number; waiting: number } {
    let [open, waiting] = [0, 0];
    for (const { once, waiters } of this.#entries.values()) {
      if (once === undefined) open++;
      waiting += waiters.size;
    }
    return { open, waiting };
  }

  /** An answer that holds for any number of attempts. */
  standing(asked: Asked): AnsweredAsk | undefined {
    const id = askIdOf(identityOf(asked.question, asked));
    const known = this.#standing.get(id);
    if (known !== undefined) return known.answered;
    const written = this.#options.file?.get(id);
    return written === undefined ? undefined : { allowed: true, scope: "always", by: written.by };
  }

  /** An answer for the next attempt, which this is. Otherwise the question is on the list from now on, and this is its id. */
  put(asked: Asked): AnsweredAsk | { id: string } {
    const entry = this.#entryOf(asked);
    if (entry.once === undefined) return { id: entry.id };
    this.#entries.delete(entry.id);
    this.#options.changed();
    return entry.once;
  }

  /** The same, but waits. Rejects with `DeskClosed`, and never if `signal` aborts: then nobody waits any more. */
  wait(asked: Asked, signal: AbortSignal | undefined): Promise<Waited> | AnsweredAsk {
    const put = this.put(asked);
    if (!("id" in put)) return put;
    const entry = this.#entries.get(put.id) as Entry;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => leave({ allowed: false, scope: "timeout", by: "nobody" }), this.timeoutMs);
      const waiter: Waiter = { resolve, reject, timer };
      const leave = (waited: Waited): void => {
        clearTimeout(timer);
        if (entry.waiters.delete(waiter)) this.#options.changed();
        resolve(waited);
      };
      entry.waiters.add(waiter);
      signal?.addEventListener("abort", () => leave("again"), { once: true });
      this.#options.changed();
    });
  }

  /** Why the answer is not taken; undefined if it is. */
  answer(id: string, answer: PersonAnswer, by: string): string | undefined {
    this.#sweep();
    if (answer === "revoke") return this.#revoke(id, by);
    const entry = this.#entries.get(id);
    if (entry === undefined) return `there is no question ${id}: it has an answer, or its time is over`;
    if ((answer === "session" || answer === "always") && entry.identity.executable === "")
      return `the program that asks is not known, so an answer cannot hold for it alone: answer once or deny`;
    const answered: AnsweredAsk = { allowed: answer !== "deny", scope: answer, by };
    const problem = this.#hold(entry, answered);
    if (problem !== undefined) return problem;
    const { waiters } = entry;
    if (answer === "once" && waiters.size === 0) {
      entry.once = answered;
      Object.assign(entry, listedFromNow());
    } else {
      this.#entries.delete(id);
    }
    this.#release(waiters, answered);
    this.#options.changed();
    return undefined;
  }

  /** Questions, and answers that hold. `mount`: "" for all. */
  list(mount = ""): PersonQuestion[] {
    this.#sweep();
    const questions = [
      ...[...this.#entries.values()].map((entry) => listed(entry)),
      ...[...this.#standing].map(([id, { answered, ...asked }]) => listed({ ...asked, id, once: answered, waiters: NOBODY, untilMs: 0 })),
      ...[...(this.#options.file?.all() ?? [])].map(([id, written]) => writtenQuestion(id, written)),
    ];
    return mount === "" ? questions : questions.filter(({ question }) => question.resource.mount === mount);
  }

  /** Another policy is in force: it is asked about everything that waits, and no answer for a next attempt outlives the one before. */
  policyChanged(): void {
    for (const entry of this.#entries.values()) {
      if (entry.waiters.size === 0) this.#entries.delete(entry.id);
      this.#release(entry.waiters, "again");
    }
    this.#options.changed();
  }

  /** Nobody waits from now on. */
  close(): void {
    this.#closed = true;
    for (const { waiters } of this.#entries.values()) {
      for (const { timer, reject } of waiters) {
        clearTimeout(timer);
        reject(new DeskClosed("the decision service is stopping"));
      }
      waiters.clear();
    }
    this.#entries.clear();
  }

  #release(waiters: Set<Waiter>, waited: Waited): void {
    const all = [...waiters];
    waiters.clear();
    for (const { timer, resolve } of all) {
      clearTimeout(timer);
      resolve(waited);
    }
  }

  #entryOf(asked: Asked): Entry {
    if (this.#closed) throw new DeskClosed("the decision service is stopping");
    const identity = identityOf(asked.question, asked);
    const id = askIdOf(identity);
    this.#sweep();
    const known = this.#entries.get(id);
    if (known !== undefined) {
      if (known.once === undefined) Object.assign(known, listedFromNow());
      return known;
    }
    if (this.#entries.size >= MAX_LISTED) this.#dropOldest();
    const entry: Entry = { ...asked, id, identity, sinceMs: Date.now(), ...listedFromNow(), waiters: new Set(), once: undefined };
    this.#entries.set(id, entry);
    this.#options.changed();
    return entry;
  }

  #sweep(): void {
    const [dateMs, clockMs] = [Date.now(), performance.now()];
    for (const { id, untilMs, endsMs, waiters } of this.#entries.values())
      if (waiters.size === 0 && (untilMs < dateMs || endsMs < clockMs)) this.#entries.delete(id);
  }

  #dropOldest(): void {
    for (const { id, waiters } of this.#entries.values()) {
      if (waiters.size > 0) continue;
      this.#entries.delete(id);
      return;
    }
    throw new DeskClosed("too many questions wait for a person");
  }

  /** Stores an answer for several attempts. Gives the reason if it cannot. */
  #hold({ id, identity, question, rule, policyId }: Entry, answered: AnsweredAsk): string | undefined {
    const { scope, by } = answered;
    const sinceMs = Date.now();
    if (scope === "session" || scope === "deny") {
      if (this.#standing.size >= MAX_STANDING) return `the service holds ${MAX_STANDING} answers already: revoke some`;
      this.#standing.set(id, { identity, question, rule, policyId, sinceMs, answered });
    }
    if (scope !== "always") return undefined;
    const { file } = this.#options;
    if (file === undefined) return "the service has no file for such answers: start it with --answers FILE, or answer session";
    try {
      const written: WrittenAnswer = { identity, by, atMs: sinceMs };
      file.add(written);
      return undefined;
    } catch (error) {
      return `the file of answers cannot be written (${(error as NodeJS.ErrnoException).code ?? "error"}): answer session`;
    }
  }

  #revoke(id: string, by: string): string | undefined {
    const entry = this.#entries.get(id);
    const { file } = this.#options;
    const unheld = entry !== undefined && entry.waiters.size === 0 && this.#entries.delete(id);
    const stood = this.#standing.delete(id);
    try {
      if (file?.get(id) !== undefined) file.revoke(id, by);
      else if (!unheld && !stood) return `there is no answer to ${id}: see 'sluice asks --answered'`;
    } catch (error) {
      return `the file of answers cannot be written (${(error as NodeJS.ErrnoException).code ?? "error"}): the answer holds on`;
    }
    this.#options.changed();
    return undefined;
  }
}

const NOBODY: Entry["waiters"] = new Set();
