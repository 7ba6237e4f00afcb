/** A memory area as bytes and as words, with views of it that are created once. Not a pool: its owner pools it. */

/** Node's own methods that its type declarations omit: they do not look up an encoding by its name. */
export interface Latin1Buffer extends Buffer {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, offset: number, length: number): number;
}

/** The number of cached views of different lengths: readers ask for few sizes, repeatedly. */
const CACHED_VIEWS = 32;

/** A piece of memory from another owner: `offset` is a multiple of 4. */
export interface MemoryPiece {
  readonly memory: ArrayBuffer;
  readonly offset: number;
}

export class ByteBuffer {
  readonly bytes: Latin1Buffer;
  readonly words: Uint32Array;
  #viewsAt = 0;
  readonly #views = new Map<number, Uint8Array>();

  constructor(
    readonly sizeBytes: number,
    at: MemoryPiece = { memory: new ArrayBuffer(Math.ceil(sizeBytes / 8) * 8), offset: 0 },
  ) {
    this.bytes = Buffer.from(at.memory, at.offset, sizeBytes) as Latin1Buffer;
    this.words = new Uint32Array(at.memory, at.offset, Math.ceil(sizeBytes / 4));
  }

  /** The `length` bytes from `start`: exactly that many, and usually without an allocation. */
  view(start: number, length: number): Uint8Array {
    if (start !== this.#viewsAt || this.#views.size > CACHED_VIEWS) {
      this.#views.clear();
      this.#viewsAt = start;
    }
    const known = this.#views.get(length);
    if (known !== undefined) return known;
    const made = new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + start, length);
    this.#views.set(length, made);
    return made;
  }
}

/** Writes a byte string. For a usual name, a loop is faster than the call into Node. */
export function writeLatin1(bytes: Latin1Buffer, text: string, offset: number): void {
  if (text.length > 32) {
    bytes.latin1Write(text, offset, text.length);
    return;
  }
  for (let i = 0; i < text.length; i++) bytes[offset + i] = text.charCodeAt(i);
}
