/** Messages as gRPC frames them on an HTTP/2 stream: a byte that says whether it is compressed, four of its length, itself. */

export const PREFIX_BYTES = 5;

/** At the beginning of `buffer`, for a message of so many bytes behind it. */
export function writePrefix(buffer: Buffer, bytes: number): void {
  buffer[0] = 0;
  buffer.writeUInt32BE(bytes, 1);
}

export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  writePrefix(framed, message.length);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

/** The message of a frame, as a view. */
export function unframed(framed: Buffer): Buffer {
  return framed.subarray(PREFIX_BYTES);
}

export class FrameReader {
  #parts: Buffer[] = [];
  #have = 0;
  /** Bytes with which it goes on. */
  #need = PREFIX_BYTES;

  /** `onMessage` gets a view of the bytes that were read. */
  constructor(
    private readonly maxBytes: number,
    private readonly onMessage: (message: Buffer) => void,
  ) {}

  /** The fault in the bytes so far, as a sentence: nothing more can be read then. */
  read(chunk: Buffer): string | undefined {
    const data = this.#with(chunk);
    if (data === undefined) return undefined;
    let at = 0;
    this.#need = PREFIX_BYTES;
    while (data.length - at >= PREFIX_BYTES) {
      const length = data.readUInt32BE(at + 1);
      if (data[at] !== 0) return "a message is compressed";
      if (length > this.maxBytes) return `a message of ${length} bytes is larger than ${this.maxBytes}`;
      const end = at + PREFIX_BYTES + length;
      if (end > data.length) {
        this.#need = end - at;
        break;
      }
      const message = data.subarray(at + PREFIX_BYTES, end);
      at = end;
      this.onMessage(message);
    }
    if (at < data.length) this.#buffer(data.subarray(at));
    return undefined;
  }

  /** Joined once there is enough: a message in many parts is copied twice, however many they are. */
  #with(chunk: Buffer): Buffer | undefined {
    if (this.#have === 0) return chunk;
    this.#buffer(chunk);
    if (this.#have < this.#need) return undefined;
    const data = Buffer.concat(this.#parts, this.#have);
    this.#parts = [];
    this.#have = 0;
    return data;
  }

  #buffer(part: Buffer): void {
    this.#parts.push(part);
    this.#have += part.length;
  }
}
