/** Fulfils a decision's obligations on one open file: rates, maximum size, expiry, and the audit of each transfer. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Decision, IoTerms, RateTerms } from "@sluice/decision-api";
import type { IoWatch, OpenRecord, WatchedIo } from "@sluice/overlay";
import { type CallContext, Errno } from "@sluice/vfs";
import type { RateLimits } from "./rate-limits.js";

/** One read, write or change of size, for the audit. */
export interface AuditedIo {
  path: string;
  kind: WatchedIo["kind"];
  offset: bigint;
  /** Bytes, or the negative errno. */
  result: number;
  pid: number;
  uid: number;
  decisionId: string;
  rule: string;
}

/** The terms of a handle: from the decision of its open, or from a later answer to the same question. */
export type HandleRuling =
  | { readonly allowed: true; readonly decision: Decision; readonly terms: IoTerms }
  | { readonly allowed: false; readonly errno: number };

/** The watch of a grant whose record cannot be read: it refuses each transfer. */
export const REFUSING: IoWatch = { before: () => -Errno.EACCES, after: () => undefined };

export interface IoWatchParts {
  readonly opened: OpenRecord;
  readonly uid: number;
  readonly ruling: HandleRuling;
  readonly limits: RateLimits;
  /** The clock of `expiresAfter`. */
  nowMs(): number;
  /** Asks again. Rejects if the caller is interrupted. */
  askAgain(call: CallContext): HandleRuling | Promise<HandleRuling>;
  audited(io: AuditedIo): void;
}

/** A rate that a handle shares. */
interface SharedRate {
  readonly key: string;
  /** The key is unique for ever: handle numbers are reused. */
  readonly own: boolean;
}

/** The rates of a handle: several if several rules set one. */
interface Rates {
  readonly read: readonly SharedRate[];
  readonly write: readonly SharedRate[];
}

const NONE: readonly SharedRate[] = [];
const NO_RATES: Rates = { read: NONE, write: NONE };

export class ObligedIo implements IoWatch {
  readonly #parts: IoWatchParts;
  #ruling: HandleRuling;
  #asked: Promise<HandleRuling> | undefined;
  #expiresMs = 0;
  /** Changes with each renewal, which outdates earlier questions. */
  #renewals = 0;
  /** Transfers that wait for their rate. */
  readonly #waiting = new Set<AbortController>();
  #rates: Rates = NO_RATES;

  constructor(parts: IoWatchParts) {
    this.#parts = parts;
    this.#ruling = parts.ruling;
    this.#enter(parts.ruling);
  }

  get maxSizeBytes(): number | undefined {
    return this.#ruling.allowed ? this.#ruling.terms.maxSizeBytes : undefined;
  }

  before(io: WatchedIo, call: CallContext): number | Promise<number> {
    if (this.#expired()) return this.#ask(call).then((errno) => (errno !== 0 ? -errno : this.#admit(io, call)));
    return this.#admit(io, call);
  }

  after(io: WatchedIo, result: number, call: CallContext): void {
    const ruling = this.#ruling;
    if (!ruling.allowed || !ruling.terms.auditEach) return;
    const { opened } = this.#parts;
    const { decisionId, rule } = ruling.decision;
    this.#parts.audited({ path: opened.path, kind: io.kind, offset: io.offset, result, pid: call.pid, uid: call.uid, decisionId, rule });
  }

  /**
   * The policy changed: its terms hold from now on, also for transfers that wait already. Without a decision there was no question, since
   * there are no obligations.
   */
  renew(terms: IoTerms, decision: Decision | undefined): void {
    const before = this.#ruling;
    const holds = decision ?? (before.allowed ? before.decision : undefined);
    if (holds === undefined) return;
    this.#renewals++;
    this.#enter({ allowed: true, decision: holds, terms });
    for (const transfer of this.#waiting) transfer.abort();
  }

  /** The open is revoked: transfers that wait for their rate get their answer. */
  refuse(errno: number): void {
    this.#renewals++;
    this.#enter({ allowed: false, errno });
    for (const transfer of this.#waiting) transfer.abort();
  }

  /** The handle is closed and leaves its rates. */
  close(): void {
    this.#leave(this.#rates);
    this.#rates = NO_RATES;
  }

  #admit(io: WatchedIo, call: CallContext): number | Promise<number> {
    const ruling = this.#ruling;
    if (!ruling.allowed) return -ruling.errno;
    const length = withinSize(io, ruling.terms.maxSizeBytes);
    if (length < 0) return length;
    const rates = this.#ratesOf(io.kind);
    let waitMs = 0;
    for (const { key } of rates) waitMs = Math.max(waitMs, this.#parts.limits.take(key, length));
    return waitMs === 0 ? length : this.#wait(io, call, { rates, length, waitMs });
  }

  /** Allocated space counts as written; a change of size transfers no bytes. */
  #ratesOf(kind: WatchedIo["kind"]): readonly SharedRate[] {
    if (kind === "truncate") return NONE;
    return kind === "read" ? this.#rates.read : this.#rates.write;
  }

  /** Waits for its turn, or until the terms change: then the transfer is admitted again. */
  async #wait(io: WatchedIo, call: CallContext, turn: Turn): Promise<number> {
    const waking = new AbortController();
    const wake = (): void => waking.abort();
    this.#waiting.add(waking);
    call.signal.addEventListener("abort", wake, { once: true });
    try {
      if (!call.signal.aborted) {
        await sleepAtLeast(turn.waitMs, waking.signal);
        return this.#expired() ? await this.#judgeAgain(io, call, turn) : turn.length;
      }
    } catch {
      // Woken.
    } finally {
      this.#waiting.delete(waking);
      call.signal.removeEventListener("abort", wake);
    }
    this.#giveBack(turn);
    return call.signal.aborted ? -Errno.EINTR : this.#admit(io, call);
  }

  /** The open expired while the transfer waited. It keeps its turn: a new one would come after those that wait behind it. */
  async #judgeAgain(io: WatchedIo, call: CallContext, turn: Turn): Promise<number> {
    const errno = await this.#ask(call);
    const ruling = this.#ruling;
    const refused = errno !== 0 || ruling.allowed ? errno : ruling.errno;
    const length = refused !== 0 || !ruling.allowed ? -refused : withinSize(io, ruling.terms.maxSizeBytes);
    if (length < 0) this.#giveBack(turn);
    return Math.min(length, turn.length);
  }

  #giveBack({ rates, length }: Turn): void {
    for (const { key } of rates) this.#parts.limits.giveBack(key, length);
  }

  #expired(): boolean {
    return this.#expiresMs !== 0 && this.#parts.nowMs() >= this.#expiresMs;
  }

  /** One question, however many transfers wait for it. */
  async #ask(call: CallContext): Promise<number> {
    this.#asked ??= Promise.resolve(this.#parts.askAgain(call)).finally(() => {
      this.#asked = undefined;
    });
    const renewals = this.#renewals;
    try {
      const ruling = await this.#asked;
      if (renewals !== this.#renewals) return 0;
      if (ruling !== this.#ruling) this.#enter(ruling);
      return ruling.allowed ? 0 : ruling.errno;
    } catch {
      // The one whose question it was may have been interrupted, and this one not.
      return call.signal.aborted ? Errno.EINTR : this.#ask(call);
    }
  }

  #enter(ruling: HandleRuling): void {
    const before = this.#rates;
    this.#ruling = ruling;
    // After a refusal the next read or write asks again: the policy may have changed.
    this.#expiresMs = ruling.allowed ? this.#expiryOf(ruling.terms) : 1;
    this.#rates = ruling.allowed ? this.#joinAll(ruling.terms, ruling.decision) : NO_RATES;
    // Only now: a rate that continues keeps its debt.
    this.#leave(before);
  }

  /** 0: never. */
  #expiryOf({ expiresAfterMs }: IoTerms): number {
    return expiresAfterMs === undefined ? 0 : this.#parts.nowMs() + expiresAfterMs;
  }

  #joinAll(terms: IoTerms, { rule }: Decision): Rates {
    const all = terms.ratesByRule ?? [{ ...terms, rule }];
    return {
      read: all.flatMap((each) => this.#join("read", each, each.readBytesPerSecond)),
      write: all.flatMap((each) => this.#join("write", each, each.writeBytesPerSecond)),
    };
  }

  #join(kind: "read" | "write", terms: RateTerms & { rule: string }, bytesPerSecond: number | undefined): readonly SharedRate[] {
    if (bytesPerSecond === undefined) return NONE;
    const key = `${kind} ${this.#share(terms)}`;
    this.#parts.limits.join(key, bytesPerSecond);
    return [{ key, own: terms.rateShare === "handle" }];
  }

  #share({ rateShare, rule }: RateTerms & { rule: string }): string {
    const { opened, uid } = this.#parts;
    switch (rateShare) {
      case "handle":
        return `handle ${opened.handle} rule ${rule}`;
      case "subject":
        return `uid ${uid} rule ${rule}`;
      case "rule":
        return `rule ${rule}`;
    }
  }

  #leave({ read, write }: Rates): void {
    for (const { key, own } of [...read, ...write]) this.#parts.limits.leave(key, own);
  }
}

/** A transfer that waits for its rates. */
interface Turn {
  readonly rates: readonly SharedRate[];
  readonly length: number;
  readonly waitMs: number;
}

/** Some 25 days: a longer timer would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Rejects if it is aborted. */
async function sleepAtLeast(ms: number, signal: AbortSignal): Promise<void> {
  const endMs = performance.now() + ms;
  for (let leftMs = ms; leftMs > 0; leftMs = endMs - performance.now()) {
    await sleep(Math.min(Math.ceil(leftMs), LONGEST_TIMER_MS), undefined, { signal });
  }
}

/** How many bytes fit below the maximum size; -EFBIG if none do. */
function withinSize(io: WatchedIo, maxSizeBytes: number | undefined): number {
  if (maxSizeBytes === undefined || io.kind === "read" || io.givesBack === true) return io.length;
  const room = BigInt(maxSizeBytes) - io.offset;
  if (room < 0n || (room === 0n && io.length > 0)) return -Errno.EFBIG;
  return room < BigInt(io.length) ? Number(room) : io.length;
}
