/**
 * File names for people. A name is bytes that anybody may choose: a newline forges a line, an escape sequence commands
 * the terminal, a mark of text direction shows one name as another. Such bytes are written as in a C string, with a doubled
 * backslash; nothing is lost, and a shell reads the form back as $'...'.
 */

/** One character of UTF-8, or a byte that belongs to none. */
const PIECES =
  /[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[^]/g;
/** Characters that a terminal obeys, hides, or shows as a space though they are different. */
const UNSAFE = String.raw`[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}`;
/** They take a millisecond to make, and most texts need none. */
let unsafe: RegExp | undefined;
let everyUnsafe: RegExp | undefined;
/** All characters are safe: those of ASCII that are printed, and one of many messages. */
const SAFE_LINE = /^[ -~·]*$/;
const PLAIN = /^[!-[\]-~]*$/;
/** A space at the end of a name is invisible, and one at its start looks like a separator. */
const EDGE_SPACE = /(?<=^|\/) | (?=\/|$)/g;
const LETTERS: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\v": "\\v",
  "\f": "\\f",
  "\r": "\\r",
  "\\": "\\\\",
};

/** Every byte of a byte string as in a C string. */
export function escapeBytes(bytes: string): string {
  return bytes.replace(/[^]/g, (byte) => LETTERS[byte] ?? `\\${byte.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

function shownPiece(piece: string): string {
  if (piece === "\\") return "\\\\";
  if (piece.length === 1 && piece > "\x7f") return escapeBytes(piece);
  const text = Buffer.from(piece, "latin1").toString("utf8");
  unsafe ??= new RegExp(UNSAFE, "u");
  return unsafe.test(text) ? escapeBytes(piece) : text;
}

/** A path or name, given as a byte string (one character, one byte). */
export function escapeName(bytes: string): string {
  return PLAIN.test(bytes) ? bytes : bytes.replace(PIECES, shownPiece).replace(EDGE_SPACE, "\\040");
}

/** The same for a name that is already text, and has lost the bytes that were not UTF-8. */
export function escapeTextName(text: string): string {
  return escapeName(Buffer.from(text, "utf8").toString("latin1"));
}

/** A path or name as one word of a shell, for a command that a message tells to run. */
export function shellWord(text: string): string {
  if (/^[\w%+,./:=@-]+$/.test(text)) return text;
  const shown = escapeTextName(text);
  return shown === text && !/["$`!]/.test(text) ? `"${text}"` : `$'${shown.replaceAll("'", "\\'")}'`;
}

/** A whole line for a terminal, which may contain names: unsafe characters get the same form, backslashes stay. */
export function escapeLine(text: string): string {
  if (SAFE_LINE.test(text)) return text;
  everyUnsafe ??= new RegExp(UNSAFE, "gu");
  return text.replace(everyUnsafe, (character) => escapeBytes(Buffer.from(character, "utf8").toString("latin1")));
}
