/**
 * A slot's `DataOut`: takes a buffer when bytes are reserved, before or after the method began to wait, and holds it until the reply.
 */
import { type ByteBuffer, OUT_HEADER_BYTES } from "@sluice/fuse-protocol";
import type { DataOut } from "@sluice/vfs";
import type { DataPool } from "./buffer-pools.js";

export class ReplyData implements DataOut {
  length = 0;
  buffer: ByteBuffer | undefined;
  reservedBytes = 0;
  /** Bytes of a structure between the reply's header and the data. */
  headBytes = 0;
  /** The reply's own room, if the transport has one: data go there directly. */
  room: ByteBuffer | undefined;
  readonly #pool: DataPool;

  constructor(pool: DataPool) {
    this.#pool = pool;
  }

  reserve(sizeBytes: number): Uint8Array {
    const held = this.buffer;
    if (held === undefined || held.sizeBytes < OUT_HEADER_BYTES + this.headBytes + sizeBytes) {
      this.buffer = this.#take(sizeBytes);
      if (held !== undefined) this.#give(held);
    }
    this.reservedBytes = sizeBytes;
    return (this.buffer as ByteBuffer).view(OUT_HEADER_BYTES + this.headBytes, sizeBytes);
  }

  /** Takes over the other's buffer. */
  adopt(other: ReplyData): void {
    this.buffer = other.buffer;
    this.length = other.length;
    other.buffer = undefined;
  }

  clear(): void {
    if (this.buffer !== undefined) this.#give(this.buffer);
    this.buffer = undefined;
    this.room = undefined;
    this.length = 0;
    this.reservedBytes = 0;
    this.headBytes = 0;
  }

  /** If a structure precedes the data (IOCTL), they do not go into the room, which holds the request's own data. */
  #take(sizeBytes: number): ByteBuffer {
    const { room } = this;
    if (room !== undefined && this.headBytes === 0 && OUT_HEADER_BYTES + sizeBytes <= room.sizeBytes) return room;
    return this.#pool.take(sizeBytes);
  }

  #give(buffer: ByteBuffer): void {
    if (buffer !== this.room) this.#pool.give(buffer);
  }
}
