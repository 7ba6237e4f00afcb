/**
 * The memory that requests are read into and data replies are built in. Free lists, last in first out: while nothing
 * waits, the same warm buffer serves every request; an operation that waits holds its own, and the next one takes another.
 */
import { ByteBuffer, OUT_HEADER_BYTES, Request } from "@sluice/fuse-protocol";
import { Errno, FsError } from "@sluice/vfs";
import { MAX_BACKGROUND } from "../connection/init.js";

/** Room for a request besides a WRITE's data: header, arguments, two names or a name and a link's target, extensions. */
const REQUEST_HEAD_BYTES = 8192;
/** fuse_ioctl_out, the one structure between a reply's header and its data. */
const REPLY_HEAD_BYTES = OUT_HEADER_BYTES + 16;
const SMALL_BYTES = 64 * 1024;
/**
 * The number of free buffers in the pool. A new buffer is a mebibyte that counts as garbage until the next collection, and many of
 * them trigger one, however little is in each. A page takes memory once it was written: so the pool holds as many filled buffers as
 * the kernel has background requests, and nearly any number of the others.
 */
const FREE_FULL = MAX_BACKGROUND;
const FREE_UNFILLED = 1024;
/** Buffers for answers, which are usually filled: requests that wait read from a disk, which takes fewer at once. */
const FREE_SMALL = 256;
const FREE_LARGE = 16;

export class RequestPool {
  readonly #free: Request[] = [];
  readonly #full: Request[] = [];
  constructor(readonly maxWriteBytes: number) {}

  take(): Request {
    return this.#full.pop() ?? this.#free.pop() ?? Request.ofSize(Math.max(this.maxWriteBytes, SMALL_BYTES) + REQUEST_HEAD_BYTES);
  }

  give(request: Request): void {
    request.filledBytes = Math.max(request.filledBytes, request.length);
    const full = request.filledBytes > SMALL_BYTES;
    const free = full ? this.#full : this.#free;
    if (free.length < (full ? FREE_FULL : FREE_UNFILLED)) free.push(request);
  }
}

export class DataPool {
  readonly #small: ByteBuffer[] = [];
  readonly #large: ByteBuffer[] = [];
  constructor(readonly maxDataBytes: number) {}

  /** A buffer with room for a reply's head and that many bytes. EINVAL beyond the limit of a reply. */
  take(sizeBytes: number): ByteBuffer {
    if (sizeBytes <= SMALL_BYTES) return this.#small.pop() ?? new ByteBuffer(REPLY_HEAD_BYTES + SMALL_BYTES);
    if (sizeBytes <= this.maxDataBytes) return this.#large.pop() ?? new ByteBuffer(REPLY_HEAD_BYTES + this.maxDataBytes);
    throw new FsError(Errno.EINVAL, `cannot answer with ${sizeBytes} bytes: a reply holds ${this.maxDataBytes}`);
  }

  give(buffer: ByteBuffer): void {
    const small = buffer.sizeBytes === REPLY_HEAD_BYTES + SMALL_BYTES;
    const free = small ? this.#small : this.#large;
    if (free.length < (small ? FREE_SMALL : FREE_LARGE)) free.push(buffer);
  }
}
