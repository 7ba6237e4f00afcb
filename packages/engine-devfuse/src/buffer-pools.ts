/**
 * The memory that requests are read into and data replies are built in. Free lists, last in first out: while nothing
 * waits, the same warm buffer serves every request; an operation that waits keeps its own and the next takes another.
 */
import { ByteBuffer, OUT_HEADER_BYTES, Request } from "@sluice/fuse-protocol";
import { Errno, FsError } from "@sluice/vfs";

/** Room of a request besides a WRITE's data: header, arguments, two names or a name and a link's target, extensions. */
const REQUEST_HEAD_BYTES = 8192;
/** fuse_ioctl_out, the one structure that stands between a reply's header and its data. */
const REPLY_HEAD_BYTES = OUT_HEADER_BYTES + 16;
const SMALL_BYTES = 64 * 1024;
/** Free buffers beyond so many go back to the allocator. */
const KEPT = 4;

export class RequestPool {
  readonly #free: Request[] = [];
  constructor(readonly maxWriteBytes: number) {}

  take(): Request {
    return this.#free.pop() ?? Request.ofSize(Math.max(this.maxWriteBytes, SMALL_BYTES) + REQUEST_HEAD_BYTES);
  }

  give(request: Request): void {
    if (this.#free.length < KEPT) this.#free.push(request);
  }
}

export class DataPool {
  readonly #small: ByteBuffer[] = [];
  readonly #large: ByteBuffer[] = [];
  constructor(readonly maxDataBytes: number) {}

  /** A buffer with room for a reply's head and so many bytes. EINVAL beyond what a reply may carry. */
  take(sizeBytes: number): ByteBuffer {
    if (sizeBytes <= SMALL_BYTES) return this.#small.pop() ?? new ByteBuffer(REPLY_HEAD_BYTES + SMALL_BYTES);
    if (sizeBytes <= this.maxDataBytes) return this.#large.pop() ?? new ByteBuffer(REPLY_HEAD_BYTES + this.maxDataBytes);
    throw new FsError(Errno.EINVAL, `cannot answer with ${sizeBytes} bytes: a reply holds ${this.maxDataBytes}`);
  }

  give(buffer: ByteBuffer): void {
    const free = buffer.sizeBytes === REPLY_HEAD_BYTES + SMALL_BYTES ? this.#small : this.#large;
    if (free.length < KEPT) free.push(buffer);
  }
}
