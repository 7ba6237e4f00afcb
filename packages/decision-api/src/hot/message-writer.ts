/**
 * Writes protobuf into one buffer that grows, in one pass and without an object a field: for a thousand questions a turn
 * generated code makes mostly garbage. Knows no message.
 */

import { PREFIX_BYTES, writePrefix } from "./frames.js";

const FIRST_BYTES = 64 * 1024;
/** Up to this length a loop is cheaper than the call into the runtime. */
const SHORT = 24;
/** Of the varint of a length below 2^28. */
const MAX_LENGTH_BYTES = 4;

export class MessageWriter {
  private buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  private at = PREFIX_BYTES;

  /** The bytes so far, as a frame of gRPC in a buffer of its own. The writer is empty then. */
  takeFrame(): Buffer {
    writePrefix(this.buffer, this.length);
    const taken = Buffer.from(this.buffer.subarray(0, this.at));
    this.at = PREFIX_BYTES;
    if (this.buffer.length > 16 * FIRST_BYTES) this.buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
    return taken;
  }

  get length(): number {
    return this.at - PREFIX_BYTES;
  }

  /** Room for so many bytes more: to be called before anything else is. */
  ensure(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.at + bytes));
    this.buffer.copy(larger, 0, 0, this.at);
    this.buffer = larger;
  }

  /** Whole and not negative, below 2^53. */
  varint(value: number): void {
    const { buffer } = this;
    let rest = value;
    while (rest > 0x7f) {
      buffer[this.at++] = (rest % 0x80) | 0x80;
      rest = rest > 0x7fffffff ? Math.floor(rest / 0x80) : rest >>> 7;
    }
    buffer[this.at++] = rest;
  }

  /** A field of type varint, left out if it is 0. */
  number(tag: number, value: number): void {
    if (value === 0) return;
    this.varint(tag);
    this.varint(value);
  }

  /** A field of bytes, one character each, empty or not. */
  bytesOf(tag: number, bytes: string): void {
    const { length } = bytes;
    this.ensure(length + 16);
    this.varint(tag);
    this.varint(length);
    if (length <= SHORT) for (let i = 0; i < length; i++) this.buffer[this.at++] = bytes.charCodeAt(i);
    else this.at += this.buffer.write(bytes, this.at, length, "latin1");
  }

  /** A field of text as UTF-8, left out if it is empty. */
  utf8(tag: number, text: string): void {
    if (text.length > 0) this.element(tag, text);
  }

  /** The same for one of several, which is there even if it is empty. */
  element(tag: number, text: string): void {
    if (text.length <= SHORT && isAscii(text)) {
      this.bytesOf(tag, text);
      return;
    }
    this.ensure(3 * text.length + 16);
    this.varint(tag);
    const start = this.begin();
    this.at += this.buffer.write(text, this.at, 3 * text.length, "utf8");
    this.end(start);
  }

  /** Fields that are encoded already, with their tags. */
  fields(bytes: Uint8Array): void {
    this.ensure(bytes.length);
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** A field that is encoded already. */
  encoded(tag: number, bytes: Uint8Array): void {
    this.ensure(bytes.length + 16);
    this.varint(tag);
    this.varint(bytes.length);
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** After a tag: everything that is written until `end` is its content. */
  begin(): number {
    return ++this.at;
  }

  end(start: number): void {
    const length = this.at - start;
    if (length < 0x80) {
      this.buffer[start - 1] = length;
      return;
    }
    // One byte was left for the length: it takes more, and the content moves.
    this.ensure(MAX_LENGTH_BYTES);
    const more = length < 0x4000 ? 1 : length < 0x200000 ? 2 : 3;
    this.buffer.copyWithin(start + more, start, this.at);
    const end = this.at + more;
    this.at = start - 1;
    this.varint(length);
    this.at = end;
  }
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}
