/** Reads what getdents64 filled a buffer with. */
import type { FileOffset } from "../binding.js";
import { native } from "../native.js";

const INO = 0;
const OFFSET = 8;
const RECORD_LENGTH = 16;
const TYPE = 18;
const NAME = 19;
const ALIGNMENT = 8;
const HI = 0x1_0000_0000;
const SAFE_HI = 0x20_0000;

/** Node's own method that its type declarations omit: it does not look up an encoding by its name. */
interface Latin1Buffer extends Buffer {
  latin1Slice(start: number, end: number): string;
}

/** `name` is a byte string; `type` a DT value; `offset` the cookie to seek to for the entries after this one. */
export interface VisitDirent {
  (name: string, inoLo: number, inoHi: number, type: number, offset: FileOffset): void;
}

/**
 * The records of one buffer, one after the other, "." and ".." among them, in the directory's order. One object serves for all
 * that the buffer is ever filled with: a directory of a million names costs a million names, and nothing beside them.
 */
export class DirentCursor {
  /** Byte string. */
  name = "";
  inoLo = 0;
  inoHi = 0;
  /** A DT value. */
  type = 0;
  /** The cookie to seek to for the entries after this one. */
  offset: FileOffset = 0;
  readonly #buffer: Latin1Buffer;
  #at = 0;
  #length = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) as Latin1Buffer;
  }

  /** Before the first of the records in the first `length` bytes. */
  begin(length: number): void {
    this.#at = 0;
    this.#length = length;
  }

  /**
   * Goes on to the next record, and fills the fields from it; false at the end.
   * @throws RangeError if a record does not fit the bytes, which no kernel gives.
   */
  next(): boolean {
    const at = this.#at;
    const length = this.#length;
    if (at >= length) return false;
    const buffer = this.#buffer;
    if (at + NAME >= length) throw new RangeError(`a directory record is cut off at byte ${at}`);
    const end = at + buffer.readUInt16LE(at + RECORD_LENGTH);
    if (end > length || end <= at + NAME) throw new RangeError(`a directory record at byte ${at} has a wrong length`);
    this.name = buffer.latin1Slice(at + NAME, endOfName(buffer, at, end));
    this.inoLo = buffer.readUInt32LE(at + INO);
    this.inoHi = buffer.readUInt32LE(at + INO + 4);
    this.type = buffer[at + TYPE] as number;
    this.offset = offsetAt(buffer, at + OFFSET);
    this.#at = end;
    return true;
  }
}

/** Visits the records in the first `length` bytes. @throws RangeError as `DirentCursor.next` */
export function parseDirents(bytes: Uint8Array, length: number, visit: VisitDirent): void {
  const records = new DirentCursor(bytes);
  records.begin(length);
  while (records.next()) visit(records.name, records.inoLo, records.inoHi, records.type, records.offset);
}

const listBytes = new Uint8Array(65_536);

/** All names in a directory that was opened for reading just now, without "." and ".."; or the negative errno. */
export function readNames(fd: number): string[] | number {
  const names: string[] = [];
  for (;;) {
    const length = native.getdents64(fd, listBytes);
    if (length < 0) return length;
    if (length === 0) return names;
    parseDirents(listBytes, length, (name) => {
      if (name !== "." && name !== "..") names.push(name);
    });
  }
}

/** The name's NUL lies in the last eight bytes of the record; the kernel does not clear the bytes behind it. */
function endOfName(buffer: Buffer, at: number, end: number): number {
  let nul = Math.max(at + NAME, end - ALIGNMENT);
  while (nul < end && buffer[nul] !== 0) nul++;
  return nul;
}

/** ext4 hashes names to 63 bits; others count small numbers. */
function offsetAt(buffer: Buffer, at: number): FileOffset {
  const hi = buffer.readUInt32LE(at + 4);
  return hi < SAFE_HI ? hi * HI + buffer.readUInt32LE(at) : buffer.readBigInt64LE(at);
}
