/** Fulfils a decision's obligations on one open file: rates, maximum size, expiry, and the audit of each transfer. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Decision } from "@sluice/decision-api";
import type { IoWatch, OpenRecord, WatchedIo } from "@sluice/overlay";
import { type CallContext, Errno } from "@sluice/vfs";
import type { IoTerms } from "./obligations.js";
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

export interface IoWatchParts {
  readonly opened: OpenRecord;
  readonly uid: number;
  readonly ruling: HandleRuling;
  readonly limits: RateLimits;
  /** It was opened under an earlier server: its use of the rates since then is unknown. */
  readonly goesOn: boolean;
  /** Asks again. Rejects if the caller is interrupted. */
  askAgain(call: CallContext): HandleRuling | Promise<HandleRuling>;
  audited(io: AuditedIo): void;
}

/** The keys of a handle's rates. */
interface Keys {
  readonly read: string | undefined;
  readonly write: string | undefined;
  /** Unique for ever: handle numbers are reused. */
  readonly own: boolean;
}

const NO_KEYS: Keys = { read: undefined, write: undefined, own: true };

export class ObligedIo implements IoWatch {
  readonly #parts: IoWatchParts;
  #ruling: HandleRuling;
  #asked: Promise<HandleRuling> | undefined;
  #expiresMs = 0;
  /** Changes with each renewal, which outdates earlier questions. */
  #renewals = 0;
  /** Transfers that wait for their rate. */
  readonly #waiting = new Set<AbortController>();
  #keys: Keys = NO_KEYS;
  /** The rates that it joins start empty. */
  #spent: boolean;

  constructor(parts: IoWatchParts) {
    this.#parts = parts;
    this.#ruling = parts.ruling;
    this.#spent = parts.goesOn;
    this.#enter(parts.ruling);
    this.#spent = false;
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
    this.#leave(this.#keys);
    this.#keys = NO_KEYS;
  }

  #admit(io: WatchedIo, call: CallContext): number | Promise<number> {
    const ruling = this.#ruling;
    if (!ruling.allowed) return -ruling.errno;
    const length = withinSize(io, ruling.terms.maxSizeBytes);
    if (length < 0) return length;
    const key = this.#rateOf(io.kind);
    const waitMs = key === undefined ? 0 : this.#parts.limits.take(key, length);
    return waitMs === 0 ? length : this.#wait(io, call, { key: key as string, length, waitMs });
  }

  /** Allocated space counts as written; a change of size transfers no bytes. */
  #rateOf(kind: WatchedIo["kind"]): string | undefined {
    if (kind === "truncate") return undefined;
    return kind === "read" ? this.#keys.read : this.#keys.write;
  }

  /** Waits for its turn, or until the terms change: then the transfer is admitted again. */
  async #wait(io: WatchedIo, call: CallContext, turn: { key: string; length: number; waitMs: number }): Promise<number> {
    const waking = new AbortController();
    const wake = (): void => waking.abort();
    this.#waiting.add(waking);
    call.signal.addEventListener("abort", wake, { once: true });
    try {
      if (!call.signal.aborted) {
        await sleepAtLeast(turn.waitMs, waking.signal);
        return turn.length;
      }
    } catch {
      // Woken.
    } finally {
      this.#waiting.delete(waking);
      call.signal.removeEventListener("abort", wake);
    }
    this.#parts.limits.giveBack(turn.key, turn.length);
    return call.signal.aborted ? -Errno.EINTR : this.#admit(io, call);
  }

  #expired(): boolean {
    return this.#expiresMs !== 0 && performance.now() >= this.#expiresMs;
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
      return Errno.EINTR;
    }
  }

  #enter(ruling: HandleRuling): void {
    const before = this.#keys;
    this.#ruling = ruling;
    // After a refusal the next read or write asks again: the policy may have changed.
    this.#expiresMs = ruling.allowed ? expiryOf(ruling.terms) : 1;
    this.#keys = ruling.allowed ? this.#joinRates(ruling.terms, ruling.decision) : NO_KEYS;
    // Only now: a rate that continues keeps its debt.
    this.#leave(before);
  }

  #joinRates(terms: IoTerms, decision: Decision): Keys {
    const share = this.#share(terms, decision);
    return {
      read: this.#join(`read ${share}`, terms.readBytesPerSecond),
      write: this.#join(`write ${share}`, terms.writeBytesPerSecond),
      own: terms.rateShare === "handle",
    };
  }

  #share(terms: IoTerms, decision: Decision): string {
    const { opened, uid } = this.#parts;
    switch (terms.rateShare) {
      case "handle":
        return `handle ${opened.handle}`;
      case "subject":
        return `uid ${uid} rule ${decision.rule}`;
      case "rule":
        return `rule ${decision.rule}`;
    }
  }

  #join(key: string, bytesPerSecond: number | undefined): string | undefined {
    if (bytesPerSecond === undefined) return undefined;
    this.#parts.limits.join(key, bytesPerSecond, this.#spent);
    return key;
  }

  #leave({ read, write, own }: Keys): void {
    for (const key of [read, write]) if (key !== undefined) this.#parts.limits.leave(key, own);
  }
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
  if (maxSizeBytes === undefined || io.kind === "read" || io.keepsSize === true) return io.length;
  const room = BigInt(maxSizeBytes) - io.offset;
  if (room < 0n || (room === 0n && io.length > 0)) return -Errno.EFBIG;
  return room < BigInt(io.length) ? Number(room) : io.length;
}

/** The time of expiry, on the clock of performance.now(); 0: never. */
function expiryOf({ expiresAfterMs }: IoTerms): number {
  return expiresAfterMs === undefined ? 0 : performance.now() + expiresAfterMs;
}
