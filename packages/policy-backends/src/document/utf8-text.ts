/**
 * The text of a file. A byte that is not UTF-8 is a mistake: replaced by U+FFFD, as decoders do, a rule about one name would be about
 * another one.
 */
import { positionAt } from "./position.js";
import type { Position } from "./yaml-document.js";

/** The text without a byte order mark, or the place of the first invalid byte. */
export function utf8Text(bytes: Buffer): { ok: true; text: string } | { ok: false; position: Position } {
  try {
    return { ok: true, text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    const text = bytes.toString("utf8");
    const again = Buffer.from(text, "utf8");
    const at = bytes.findIndex((byte, index) => byte !== again[index]);
    return { ok: false, position: positionAt(text, at) };
  }
}

export const NOT_UTF8 = { message: "it is not UTF-8", remedy: "save it as UTF-8" } as const;
