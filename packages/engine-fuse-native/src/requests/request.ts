/** Everything that one callback needs until its answer: the caller as far as it is known, and the objects for the results. */
import {
  Attr,
  type AttrOut,
  type CallContext,
  Cancellation,
  type CancelSignal,
  type DataOut,
  type EntryOut,
  type OpenOut,
  type StatfsOut,
} from "@sluice/vfs";
import type { ThreadRecord } from "../addon/addon.js";

/** Bytes into a buffer of libfuse's, if there is one and they fit. */
export class DataInto implements DataOut {
  length = 0;
  readonly #into: Uint8Array | undefined;
  #separate: Uint8Array | undefined;

  constructor(into: Uint8Array | undefined) {
    this.#into = into;
  }

  reserve(sizeBytes: number): Uint8Array {
    if (this.#into !== undefined && sizeBytes <= this.#into.length) {
      this.#separate = undefined;
      return this.#into.subarray(0, sizeBytes);
    }
    this.#separate = new Uint8Array(sizeBytes);
    return this.#separate;
  }

  /** The bytes if there is no buffer; also moves a block whose reserved size was too large. False if it does not fit. */
  finish(): Uint8Array | false {
    const bytes = (this.#separate ?? this.#into ?? new Uint8Array(0)).subarray(0, this.length);
    if (this.#into === undefined || this.#separate === undefined) return bytes;
    if (this.length > this.#into.length) return false;
    this.#into.set(bytes);
    return bytes;
  }
}

/** For a caller that the addon does not name, the daemon's own user stands in. */
function daemonUser(): { uid: number; gid: number } {
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
}

export class Request implements CallContext {
  readonly uid: number;
  readonly gid: number;
  readonly pid = 0;
  readonly anonymous = true;
  readonly groups = undefined;
  readonly entry: EntryOut = { nodeId: 0, generation: 0, entryTtlMs: 0, attrTtlMs: 0, attr: new Attr() };
  readonly attr: AttrOut = { attrTtlMs: 0, attr: new Attr() };
  readonly open: OpenOut = { handle: 0, mode: "cached", keepCache: false, backingId: 0 };
  readonly statfs: StatfsOut = { blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0, bsize: 0, namelen: 0, frsize: 0 };
  /** A success that is a count: of bytes. */
  count = 0;
  /** Further results of a success. */
  extras: readonly unknown[] = [];
  #cancellation: Cancellation | undefined;
  #over = false;

  constructor(
    readonly args: readonly unknown[],
    readonly record: ThreadRecord,
  ) {
    const user = daemonUser();
    this.uid = user.uid;
    this.gid = user.gid;
  }

  get signal(): CancelSignal {
    this.#cancellation ??= new Cancellation();
    if (this.#over) this.#cancellation.abort();
    return this.#cancellation;
  }

  /** The connection ends. */
  abort(): void {
    this.#over = true;
    this.#cancellation?.abort();
  }

  text(index: number): string {
    return this.args[index] as string;
  }
  number(index: number): number {
    return this.args[index] as number;
  }
  bytes(index: number): Buffer {
    return this.args[index] as Buffer;
  }
  /** Two 32-bit words: a number while it is a safe integer. */
  offset(index: number): number | bigint {
    const exact = (BigInt(this.number(index + 1)) << 32n) | BigInt(this.number(index));
    return exact <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(exact) : exact;
  }
}
