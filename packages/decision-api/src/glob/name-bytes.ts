/**
 * File names as bytes, looked at as text. Names are chosen by whoever may create files, so nothing here may fail on one,
 * and two different names must never look the same to a policy.
 */

/** Length of the UTF-8 sequence that starts at `at` of a byte string: 1 for ASCII and for a byte that starts none. */
export function sequenceLength(bytes: string, at: number): number {
  const lead = bytes.charCodeAt(at);
  if (lead < 0xc2 || lead > 0xf4) return 1;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const second = bytes.charCodeAt(at + 1);
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (!(second >= lowest && second <= highest)) return 1;
  for (let i = 2; i < length; i++) {
    const next = bytes.charCodeAt(at + i);
    if (!(next >= 0x80 && next <= 0xbf)) return 1;
  }
  return length;
}

/** The code point of the sequence of `length` bytes at `at`; a byte that is not UTF-8 is its escape, U+DC80 to U+DCFF. */
export function codePointAt(bytes: string, at: number, length: number): number {
  const lead = bytes.charCodeAt(at);
  if (length === 1) return lead < 0x80 ? lead : 0xdc00 + lead;
  let point = lead & (0xff >> (length + 1));
  for (let i = 1; i < length; i++) point = (point << 6) | (bytes.charCodeAt(at + i) & 0x3f);
  return point;
}

const ASCII = /^\p{ASCII}*$/u;

/**
 * A byte string as text, for conditions. A byte that is not UTF-8 becomes U+DC80 to U+DCFF (as in Python's surrogateescape):
 * read as latin1 it would look like the UTF-8 of another name. Text that is no byte string is given back as it is.
 */
export function textOfBytes(bytes: string): string {
  if (ASCII.test(bytes)) return bytes;
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    if (bytes.charCodeAt(at) > 0xff) return bytes;
    const length = sequenceLength(bytes, at);
    text += String.fromCodePoint(codePointAt(bytes, at, length));
    at += length;
  }
  return text;
}

export function bytesOfText(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}
