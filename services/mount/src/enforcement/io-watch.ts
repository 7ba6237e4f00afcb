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
  /** Puts the question again; the caller's interruption rejects. */
  askAgain(call: CallContext): Standing | Promise<Standing>;
  audited(io: AuditedIo): void;
}

export class ObligedIo implements IoWatch {
  readonly #parts: IoWatchParts;
  #standing: Standing;
  #asked: Promise<Standing> | undefined;
  #expiresMs = 0;
  #keys: { read: string | undefined; write: string | undefined } = { read: undefined, write: undefined };

  constructor(parts: IoWatchParts) {
    this.#parts = parts;
    this.#standing = parts.standing;
    this.#enter(parts.standing);
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

  /** The handle is closed: its rates are nobody's share any more. */
  close(): void {
    this.#leave();
  }

  #admit(io: WatchedIo, call: CallContext): number | Promise<number> {
    const standing = this.#standing;
    if (!standing.allowed) return -standing.errno;
    const length = withinSize(io, standing.terms.maxSizeBytes);
    if (length < 0) return length;
    const key = io.kind === "read" ? this.#keys.read : io.kind === "write" ? this.#keys.write : undefined;
    const waitMs = key === undefined ? 0 : this.#parts.limits.take(key, length);
    if (waitMs === 0) return length;
    return sleep(waitMs, length, { signal: call.signal }).catch(() => {
      this.#parts.limits.giveBack(key as string, length);
      return -Errno.EINTR;
    });
  }

  #expired(): boolean {
    return this.#expiresMs !== 0 && performance.now() >= this.#expiresMs;
  }

  /** One question however many wait for it. */
  async #ask(call: CallContext): Promise<number> {
    this.#asked ??= Promise.resolve(this.#parts.askAgain(call)).finally(() => {
      this.#asked = undefined;
    });
    try {
      const standing = await this.#asked;
      if (standing !== this.#standing) this.#enter(standing);
      return standing.allowed ? 0 : standing.errno;
    } catch {
      return Errno.EINTR;
    }
  }

  #enter(standing: Standing): void {
    this.#leave();
    this.#standing = standing;
    // Who was refused asks again with the next read or write: the policy may have changed.
    this.#expiresMs = standing.allowed ? expiryOf(standing.terms) : 1;
    if (!standing.allowed) return;
    const { terms, decision } = standing;
    const share = this.#share(terms, decision);
    this.#keys = {
      read: this.#join(`read ${share}`, terms.readBytesPerSecond),
      write: this.#join(`write ${share}`, terms.writeBytesPerSecond),
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
    this.#parts.limits.join(key, bytesPerSecond);
    return key;
  }

  #leave(): void {
    for (const key of [this.#keys.read, this.#keys.write]) if (key !== undefined) this.#parts.limits.leave(key);
    this.#keys = { read: undefined, write: undefined };
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
