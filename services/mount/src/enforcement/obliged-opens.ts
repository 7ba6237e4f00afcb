/** The open files whose transfers are held to obligations, each with the question and the decision that obliged it. */
import { type Decision, type IoTerms, newQuestionId, NO_TERMS, type Question } from "@sluice/decision-api";
import { bootTimeMs } from "@sluice/native";
import type { OpenRecord } from "@sluice/overlay";
import type { CallContext } from "@sluice/vfs";
import { errnoOfDenial, type DecidedRuling } from "./decided-ruling.js";
import { type AuditedIo, type HandleRuling, ObligedIo } from "./io-watch.js";
import type { PersistedGrant } from "./persisted-grant.js";
import { RateLimits } from "./rate-limits.js";

/** The question of an open file, and the answer that it is held to. */
export interface AnsweredOpen {
  readonly question: Question;
  readonly decision: Decision;
  readonly terms: IoTerms;
}

export interface ObligedOpensParts {
  /** Puts the question of an open file once more, about the names that it has by now. Rejects if the caller is interrupted. */
  askAgain(answered: AnsweredOpen, call: CallContext, handle: number): Promise<HandleRuling>;
  audited(io: AuditedIo): void;
  /** An earlier server gave grants, whose use of rates is unknown. */
  readonly goesOn: boolean;
}

/** The question of an open file once more: the open that it came from is over, and so is its trace. */
export function putAgain(question: Question, paths: readonly string[]): Question {
  const resource = { ...question.resource, paths: [...paths] };
  return { ...question, id: newQuestionId(), resource, traceparent: undefined, mayAsk: undefined };
}

export class ObligedOpens {
  readonly #parts: ObligedOpensParts;
  readonly #limits: RateLimits;
  readonly #opens = new Map<number, { io: ObligedIo; obliged: NonNullable<PersistedGrant["obliged"]> }>();

  constructor(parts: ObligedOpensParts) {
    this.#parts = parts;
    this.#limits = new RateLimits({ beginsSpent: parts.goesOn });
  }

  ruling(ruling: HandleRuling & { allowed: true }, question: Question): DecidedRuling {
    const { decision, terms } = ruling;
    const watch = (opened: OpenRecord): ObligedIo => {
      const answered = (): AnsweredOpen => this.#opens.get(opened.handle)?.obliged ?? { question, decision, terms };
      const askAgain = (call: CallContext): Promise<HandleRuling> => this.#parts.askAgain(answered(), call, opened.handle);
      const audited = (io: AuditedIo): void => this.#parts.audited(io);
      const io = new ObligedIo({ opened, uid: question.subject.uid, ruling, limits: this.#limits, nowMs: bootTimeMs, askAgain, audited });
      this.#opens.set(opened.handle, { io, obliged: { question, decision, terms } });
      return io;
    };
    return { effect: "mediate", errno: 0, decision, question, terms, watch };
  }

  /** The ruling of a review holds from now on. @returns true if the open has new terms */
  renew(handle: number, { effect, decision, terms = NO_TERMS }: Pick<DecidedRuling, "effect" | "decision" | "terms">): boolean {
    const open = this.#opens.get(handle);
    if (open === undefined) return false;
    if (effect === "deny") {
      open.io.refuse(errnoOfDenial(decision));
      return false;
    }
    open.io.renew(terms, decision);
    open.obliged = { ...open.obliged, decision: decision ?? open.obliged.decision, terms };
    return true;
  }

  /** For the next server: the question and the answer that obliged the file. */
  persisted(handle: number): PersistedGrant["obliged"] {
    return this.#opens.get(handle)?.obliged;
  }

  closed(handle: number): void {
    this.#opens.get(handle)?.io.close();
    this.#opens.delete(handle);
  }
}
