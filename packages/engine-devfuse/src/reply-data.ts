/** A slot's `DataOut`: takes a buffer when bytes are reserved, before or after the method began to wait, and keeps it until the reply. */
import { type ByteBuffer, OUT_HEADER_BYTES } from "@sluice/fuse-protocol";
import type { DataOut } from "@sluice/vfs";
import type { DataPool } from "./buffer-pools.js";

export class ReplyData implements DataOut {
  length = 0;
  buffer: ByteBuffer | undefined;
  reservedBytes = 0;
  /** Bytes of a structure between the reply's header and the data. */
  headBytes = 0;
  readonly #pool: DataPool;

  constructor(pool: DataPool) {
    this.#pool = pool;
  }

  reserve(sizeBytes: number): Uint8Array {
    const held = this.buffer;
    if (held === undefined || held.sizeBytes < OUT_HEADER_BYTES + this.headBytes + sizeBytes) {
      this.buffer = this.#pool.take(sizeBytes);
      if (held !== undefined) this.#pool.give(held);
    }
    this.reservedBytes = sizeBytes;
    return (this.buffer as ByteBuffer).view(OUT_HEADER_BYTES + this.headBytes, sizeBytes);
  }

  /** Takes the other's buffer over. */
  adopt(other: ReplyData): void {
    this.buffer = other.buffer;
    this.length = other.length;
    other.buffer = undefined;
  }

  clear(): void {
    if (this.buffer !== undefined) this.#pool.give(this.buffer);
    this.buffer = undefined;
    this.length = 0;
    this.reservedBytes = 0;
    this.headBytes = 0;
  }
}
