/** Reads what getdents64 filled a buffer with. */
import type { FileOffset } from "./binding.js";

const INO = 0;
const OFFSET = 8;
const RECORD_LENGTH = 16;
const TYPE = 18;
const NAME = 19;
const ALIGNMENT = 8;
const HI = 0x1_0000_0000;
const SAFE_HI = 0x20_0000;

/** `name` is a byte string; `type` a DT value; `offset` the cookie to seek to for what comes after this entry. */
export interface VisitDirent {
  (name: string, inoLo: number, inoHi: number, type: number, offset: FileOffset): void;
}

/**
 * Visits the records in the first `length` bytes, "." and ".." among them, in the directory's order.
 * @throws RangeError where a record does not fit the bytes, which no kernel gives.
 */
export function parseDirents(bytes: Uint8Array, length: number, visit: VisitDirent): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  for (let at = 0; at < length; ) {
    if (at + NAME >= length) throw new RangeError(`a directory record is cut off at byte ${at}`);
    const end = at + buffer.readUInt16LE(at + RECORD_LENGTH);
    if (end > length || end <= at + NAME) throw new RangeError(`a directory record at byte ${at} has a wrong length`);
    visit(
      buffer.toString("latin1", at + NAME, endOfName(buffer, at, end)),
      buffer.readUInt32LE(at + INO),
      buffer.readUInt32LE(at + INO + 4),
      buffer[at + TYPE] as number,
      offsetAt(buffer, at + OFFSET),
    );
    at = end;
  }
}

/** The name's NUL lies in the last eight bytes of the record; what follows it is not cleared by the kernel. */
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
