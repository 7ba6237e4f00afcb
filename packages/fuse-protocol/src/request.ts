/**
 * One request as it lies in its buffer: the header by name, the body by word, strings checked. A Request belongs to
 * its buffer and is used again for every read; the decoders copy out everything that must outlive the next read.
 */
import { Errno, NAME_MAX } from "@sluice/vfs";
import { ByteBuffer } from "./byte-buffer.js";
import type { ReplyRoom } from "./encode-reply.js";
import { IN_HEADER_BYTES, readId } from "./wire.js";

const SLASH = 0x2f;
/** PATH_MAX without its NUL: Linux creates no longer link target. */
const TARGET_MAX = 4095;

export class Request {
  readonly words: Uint32Array;
  /** Bytes of the whole request, and where its arguments end: extensions lie from there. */
  length = 0;
  argsEnd = 0;
  /** The largest amount of data that was ever in its buffer, as far as the owner of the buffer knows. */
  filledBytes = 0;
  /** The string last taken, and the offset behind its NUL. */
  text = "";
  next = 0;

  constructor(
    readonly buffer: ByteBuffer,
    readonly room?: ReplyRoom,
  ) {
    this.words = buffer.words;
  }

  /** A request with memory of its own. */
  static ofSize(sizeBytes: number): Request {
    return new Request(new ByteBuffer(sizeBytes));
  }

  get opcode(): number {
    return this.words[1] as number;
  }
  get uniqueLo(): number {
    return this.words[2] as number;
  }
  get uniqueHi(): number {
    return this.words[3] as number;
  }
  /** BAD_ID if it is not one of ours. */
  get nodeId(): number {
    return readId(this.words, 4);
  }
  get uid(): number {
    return this.words[6] as number;
  }
  get gid(): number {
    return this.words[7] as number;
  }
  get pid(): number {
    return this.words[8] as number;
  }

  /** Accepts the received bytes: 0, or EIO if the header cannot be trusted (then nothing else may be read from here). */
  load(readBytes: number): number {
    this.length = readBytes;
    this.argsEnd = readBytes;
    if (readBytes < IN_HEADER_BYTES || readBytes > this.buffer.sizeBytes || this.words[0] !== readBytes) return Errno.EIO;
    this.argsEnd = readBytes - ((this.words[9] as number) & 0xffff) * 8;
    return this.argsEnd < IN_HEADER_BYTES ? Errno.EIO : Errno.OK;
  }

  /** 0 if the body has at least that many bytes before its extensions, else EIO. */
  need(bodyBytes: number): number {
    return this.argsEnd - IN_HEADER_BYTES >= bodyBytes ? Errno.OK : Errno.EIO;
  }

  /** Takes the name at byte `at` of the body: EIO without a NUL, EINVAL if it cannot name an entry, ENAMETOOLONG. */
  takeName(at: number): number {
    const status = this.takeNameOrDots(at);
    return status === 0 && (this.text === "." || this.text === "..") ? Errno.EINVAL : status;
  }

  /** The same for a place in which "." and ".." are valid. */
  takeNameOrDots(at: number): number {
    const start = IN_HEADER_BYTES + at;
    const end = this.#endOfString(start);
    if (end < 0) return Errno.EIO;
    const { bytes } = this.buffer;
    const length = end - start;
    if (length === 0) return Errno.EINVAL;
    if (length > NAME_MAX) return Errno.ENAMETOOLONG;
    for (let i = start; i < end; i++) if (bytes[i] === SLASH) return Errno.EINVAL;
    return this.#take(start, end);
  }

  /** Takes a string that is no file name (an attribute's name): EINVAL if empty, ERANGE beyond XATTR_NAME_MAX. */
  takeAttributeName(at: number): number {
    const start = IN_HEADER_BYTES + at;
    const end = this.#endOfString(start);
    if (end < 0) return Errno.EIO;
    if (end === start) return Errno.EINVAL;
    return end - start > NAME_MAX ? Errno.ERANGE : this.#take(start, end);
  }

  /** Takes a link's target: ENOENT if empty, as symlink(2) returns. */
  takeTarget(at: number): number {
    const start = IN_HEADER_BYTES + at;
    const end = this.#endOfString(start);
    if (end < 0) return Errno.EIO;
    if (end === start) return Errno.ENOENT;
    return end - start > TARGET_MAX ? Errno.ENAMETOOLONG : this.#take(start, end);
  }

  #take(start: number, end: number): number {
    this.text = this.buffer.bytes.latin1Slice(start, end);
    this.next = end + 1 - IN_HEADER_BYTES;
    return Errno.OK;
  }

  #endOfString(start: number): number {
    const { bytes } = this.buffer;
    for (let i = start; i < this.argsEnd; i++) if (bytes[i] === 0) return i;
    return -1;
  }
}
