/** Git's form of binary content in a patch: the whole content of each side, compressed, in base 85. */
import { deflateSync } from "node:zlib";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
const LINE_BYTES = 52;
const WORD_BYTES = 4;
const WORD_DIGITS = 5;

/** "A" to "Z" for 1 to 26 bytes, "a" to "z" for 27 to 52. */
function lengthLetter(length: number): string {
  return String.fromCharCode(length <= 26 ? 0x40 + length : 0x60 + length - 26);
}

function encodeLine(bytes: Buffer): string {
  const padded = Buffer.alloc(Math.ceil(bytes.length / WORD_BYTES) * WORD_BYTES);
  bytes.copy(padded);
  let line = lengthLetter(bytes.length);
  for (let at = 0; at < padded.length; at += WORD_BYTES) {
    let word = padded.readUInt32BE(at);
    let digits = "";
    for (let digit = 0; digit < WORD_DIGITS; digit++) {
      digits = (DIGITS[word % 85] as string) + digits;
      word = Math.floor(word / 85);
    }
    line += digits;
  }
  return `${line}\n`;
}

function literal(content: Buffer): string {
  const bytes = deflateSync(content);
  const lines = [`literal ${content.length}\n`];
  for (let at = 0; at < bytes.length; at += LINE_BYTES) lines.push(encodeLine(bytes.subarray(at, at + LINE_BYTES)));
  return lines.join("");
}

/** Forwards and backwards. */
export function binaryHunk(before: Buffer, after: Buffer): string {
  return `GIT binary patch\n${literal(after)}\n${literal(before)}\n`;
}
