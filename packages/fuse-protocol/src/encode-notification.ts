/**
 * Notifications: messages with unique 0, and with the notification's code in the error field of a reply. Each returns the message's
 * length.
 */
import { type ByteBuffer, writeLatin1 } from "./byte-buffer.js";
import { EXPIRE_ONLY, NotifyCode } from "./message-flags.js";
import { OUT_HEADER_BYTES, OUT_HEADER_WORDS as BODY, writeU64 } from "./wire.js";

/** Every notification here fits into this: header, body, a name of NAME_MAX bytes and its NUL. */
export const NOTIFICATION_BYTES = OUT_HEADER_BYTES + 24 + 256;

export function encodeInvalidateInode(into: ByteBuffer, node: number, offset: number, length: number): number {
  writeU64(into.words, BODY, node);
  writeU64(into.words, BODY + 2, offset);
  writeU64(into.words, BODY + 4, length);
  return frame(into, NotifyCode.INVAL_INODE, 24);
}

export function encodeInvalidateEntry(into: ByteBuffer, parent: number, name: string, expireOnly: boolean): number {
  writeU64(into.words, BODY, parent);
  into.words[BODY + 2] = name.length;
  into.words[BODY + 3] = expireOnly ? EXPIRE_ONLY : 0;
  return frame(into, NotifyCode.INVAL_ENTRY, 16 + writeName(into, 16, name));
}

export function encodeDelete(into: ByteBuffer, of: { parent: number; child: number }, name: string): number {
  writeU64(into.words, BODY, of.parent);
  writeU64(into.words, BODY + 2, of.child);
  into.words[BODY + 4] = name.length;
  into.words[BODY + 5] = 0;
  return frame(into, NotifyCode.DELETE, 24 + writeName(into, 24, name));
}

/** Requests every request again that was read and not answered. */
export function encodeResend(into: ByteBuffer): number {
  return frame(into, NotifyCode.RESEND, 0);
}

function writeName(into: ByteBuffer, bodyAt: number, name: string): number {
  writeLatin1(into.bytes, name, OUT_HEADER_BYTES + bodyAt);
  into.bytes[OUT_HEADER_BYTES + bodyAt + name.length] = 0;
  return name.length + 1;
}

function frame(into: ByteBuffer, code: number, bodyBytes: number): number {
  const length = OUT_HEADER_BYTES + bodyBytes;
  into.words[0] = length;
  into.words[1] = code;
  into.words[2] = 0;
  into.words[3] = 0;
  return length;
}
