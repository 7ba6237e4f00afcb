/** Honours a decision's obligations on one open file: slows down, keeps short, asks again, and tells of each transfer. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Decision } from "@sluice/decision-api";
import type { IoWatch, OpenRecord, WatchedIo } from "@sluice/overlay";
import { type CallContext, Errno } from "@sluice/vfs";
import type { IoTerms } from "./obligations.js";
import type { RateLimits } from "./rate-limits.js";

/** One read, write or change of size of a file whose opening obliged to tell of each. */
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

/** What holds for a handle: by the decision it was opened by, or a later one to the same question. */
export type Standing =
  | { readonly allowed: true; readonly decision: Decision; readonly terms: IoTerms }
  | { readonly allowed: false; readonly errno: number };

export interface IoWatchParts {
  readonly opened: OpenRecord;
  readonly uid: number;
  readonly standing: Standing;
  readonly limits: RateLimits;
  /** It was opened under an earlier server: what it took of its rates since is not known. */
  readonly goesOn: boolean;
  /** Puts the question again; the caller's interruption rejects. */
  askAgain(call: CallContext): Standing | Promise<Standing>;
  audited(io: AuditedIo): void;
}

/** Of the rates that hold for a handle. */
interface Keys {
  readonly read: string | undefined;
  readonly write: string | undefined;
  /** Nobody else's, now or later: numbers of handles come again. */
  readonly own: boolean;
}

const NO_KEYS: Keys = { read: undefined, write: undefined, own: true };

export class ObligedIo implements IoWatch {
  readonly #parts: IoWatchParts;
  #standing: Standing;
  #asked: Promise<Standing> | undefined;
  #expiresMs = 0;
  /** Changes with each renewal: what was asked before one does not hold after it. */
  #renewals = 0;
  /** Transfers that wait for their rate. */
  readonly #waiting = new Set<AbortController>();
  #keys: Keys = NO_KEYS;
  /** The rates that it joins begin with nothing. */
  #spent: boolean;

  constructor(parts: IoWatchParts) {
    this.#parts = parts;
    this.#standing = parts.standing;
    this.#spent = parts.goesOn;
    this.#enter(parts.standing);
    this.#spent = false;
  }

  before(io: WatchedIo, call: CallContext): number | Promise<number> {
    if (this.#expired()) return this.#ask(call).then((errno) => (errno !== 0 ? -errno : this.#admit(io, call)));
    return this.#admit(io, call);
  }

  after(io: WatchedIo, result: number, call: CallContext): void {
    const standing = this.#standing;
    if (!standing.allowed || !standing.terms.auditEach) return;
    const { opened } = this.#parts;
    const { decisionId, rule } = standing.decision;
    this.#parts.audited({ path: opened.path, kind: io.kind, offset: io.offset, result, pid: call.pid, uid: call.uid, decisionId, rule });
  }

  /**
   * The policy changed: what it says now holds from here on, for transfers that wait already, too. Without a decision nothing
   * was asked, as nothing is obliged to.
   */
  renew(terms: IoTerms, decision: Decision | undefined): void {
    const before = this.#standing;
    const holds = decision ?? (before.allowed ? before.decision : undefined);
    if (holds === undefined) return;
    this.#renewals++;
    this.#enter({ allowed: true, decision: holds, terms });
    for (const transfer of this.#waiting) transfer.abort();
  }

  /** Its open is not allowed any more: transfers that wait for their rate are answered. */
  refuse(errno: number): void {
    this.#renewals++;
    this.#enter({ allowed: false, errno });
    for (const transfer of this.#waiting) transfer.abort();
  }

  /** The handle is closed: its rates are nobody's share any more. */
  close(): void {
    this.#leave(this.#keys);
    this.#keys = NO_KEYS;
  }

  #admit(io: WatchedIo, call: CallContext): number | Promise<number> {
    const standing = this.#standing;
    if (!standing.allowed) return -standing.errno;
    const length = withinSize(io, standing.terms.maxSizeBytes);
    if (length < 0) return length;
    const key = this.#rateOf(io.kind);
    const waitMs = key === undefined ? 0 : this.#parts.limits.take(key, length);
    return waitMs === 0 ? length : this.#wait(io, call, { key: key as string, length, waitMs });
  }

  /** Space that is given counts as written; a change of size moves no bytes. */
  #rateOf(kind: WatchedIo["kind"]): string | undefined {
    if (kind === "truncate") return undefined;
    return kind === "read" ? this.#keys.read : this.#keys.write;
  }

  /** Until it is its turn; or to be admitted anew, under terms that have changed. */
  async #wait(io: WatchedIo, call: CallContext, turn: { key: string; length: number; waitMs: number }): Promise<number> {
    const waking = new AbortController();
    const wake = (): void => waking.abort();
    this.#waiting.add(waking);
    call.signal.addEventListener("abort", wake, { once: true });
    try {
      if (!call.signal.aborted) return await sleep(turn.waitMs, turn.length, { signal: waking.signal });
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

  /** One question however many wait for it. */
  async #ask(call: CallContext): Promise<number> {
    this.#asked ??= Promise.resolve(this.#parts.askAgain(call)).finally(() => {
      this.#asked = undefined;
    });
    const renewals = this.#renewals;
    try {
      const standing = await this.#asked;
      if (renewals !== this.#renewals) return 0;
      if (standing !== this.#standing) this.#enter(standing);
      return standing.allowed ? 0 : standing.errno;
    } catch {
      return Errno.EINTR;
    }
  }

  #enter(standing: Standing): void {
    const before = this.#keys;
    this.#standing = standing;
    // Who was refused asks again with the next read or write: the policy may have changed.
    this.#expiresMs = standing.allowed ? expiryOf(standing.terms) : 1;
    this.#keys = standing.allowed ? this.#joinRates(standing.terms, standing.decision) : NO_KEYS;
    // Only now: a rate that goes on keeps what was taken of it.
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

/** How many bytes keep the file within its size; -EFBIG where none do. */
function withinSize(io: WatchedIo, maxSizeBytes: number | undefined): number {
  if (maxSizeBytes === undefined || io.kind === "read") return io.length;
  const room = BigInt(maxSizeBytes) - io.offset;
  if (room < 0n || (room === 0n && io.length > 0)) return -Errno.EFBIG;
  return room < BigInt(io.length) ? Number(room) : io.length;
}

/** When it expires, on the clock of performance.now(); 0: never. */
function expiryOf({ expiresAfterMs }: IoTerms): number {
  return expiresAfterMs === undefined ? 0 : performance.now() + expiresAfterMs;
}
