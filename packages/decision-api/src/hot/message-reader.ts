/** Reads protobuf in place, with no object a field. Truncated or malformed bytes throw. Knows no message. */

/** The bytes are no protobuf. */
export class WireError extends Error {
  override readonly name = "WireError";
}

const MAX_VARINT_BYTES = 10;
const SHORT = 24;

export class MessageReader {
  at = 0;
  end: number;

  constructor(readonly buffer: Buffer) {
    this.end = buffer.length;
  }

  /** Of at most 2^53; of more, and of a negative number, something that is above every bound. */
  varint(): number {
    const { buffer } = this;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < MAX_VARINT_BYTES; count++) {
      if (this.at >= this.end) throw new WireError("a message is cut off");
      const byte = buffer[this.at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw new WireError("a number is too long");
  }

  /** As generated code reads uint32: the lower 32 bits. */
  uint32(): number {
    const value = this.varint();
    return value <= 0xffffffff ? value : (value % 0x1_0000_0000) >>> 0;
  }

  /** The end of a field of bytes that begins here. */
  limit(): number {
    const length = this.varint();
    if (length > this.end - this.at) throw new WireError("a field is cut off");
    return this.at + length;
  }

  /** Its bytes, one character each. */
  latin1(): string {
    const limit = this.limit();
    const start = this.at;
    this.at = limit;
    return this.buffer.toString("latin1", start, limit);
  }

  utf8(): string {
    const limit = this.limit();
    const start = this.at;
    this.at = limit;
    if (limit - start > SHORT) return this.buffer.toString("utf8", start, limit);
    let text = "";
    for (let i = start; i < limit; i++) {
      const byte = this.buffer[i] as number;
      if (byte > 0x7f) return this.buffer.toString("utf8", start, limit);
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /** A view, not a copy. */
  bytes(): Buffer {
    const limit = this.limit();
    const view = this.buffer.subarray(this.at, limit);
    this.at = limit;
    return view;
  }

  /** To be called where a message ends: a field that went over it was none of its own. */
  arrived(limit: number): void {
    if (this.at !== limit) throw new WireError("a field is longer than its message");
  }

  skip(tag: number): void {
    switch (tag & 7) {
      case 0:
        this.varint();
        return;
      case 1:
        this.forward(8);
        return;
      case 2:
        this.at = this.limit();
        return;
      case 5:
        this.forward(4);
        return;
      default:
        throw new WireError("a field of a kind that is not known");
    }
  }

  private forward(bytes: number): void {
    if (bytes > this.end - this.at) throw new WireError("a field is cut off");
    this.at += bytes;
  }
}

/** The text of a field, and the same string again as long as the bytes are the same: rules and policies repeat. */
export class RepeatedText {
  private bytes = Buffer.alloc(0);
  private text = "";

  read(reader: MessageReader): string {
    const limit = reader.limit();
    const { buffer, at } = reader;
    reader.at = limit;
    if (limit - at === this.bytes.length && buffer.compare(this.bytes, 0, this.bytes.length, at, limit) === 0) return this.text;
    this.bytes = Buffer.from(buffer.subarray(at, limit));
    this.text = this.bytes.toString("utf8");
    return this.text;
  }
}

/** The same for a field that is a message: calls `make` if its bytes differ from the last one's. */
export class RepeatedMessage<Value> {
  private bytes: Buffer | undefined;
  private value: Value | undefined;

  constructor(private readonly make: (bytes: Buffer) => Value) {}

  read(reader: MessageReader): Value {
    const limit = reader.limit();
    const { buffer, at } = reader;
    reader.at = limit;
    const known = this.bytes;
    if (known !== undefined && limit - at === known.length && buffer.compare(known, 0, known.length, at, limit) === 0)
      return this.value as Value;
    const bytes = Buffer.from(buffer.subarray(at, limit));
    this.value = this.make(bytes);
    this.bytes = bytes;
    return this.value;
  }
}
