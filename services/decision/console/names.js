// Texts that callers choose, such as paths and programs, as a person can tell them apart: the form of packages/runtime/src/escape-name.ts.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/gu;
const EDGE_SPACE = /(?<=^|\/) | (?=\/|$)/g;
/** @type {Record<string, string>} */
const LETTERS = { "\x07": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r" };

/** @param {number} byte */
const octal = (byte) => `\\${byte.toString(8).padStart(3, "0")}`;
/** @param {string} character */
const escaped = (character) => LETTERS[character] ?? [...new TextEncoder().encode(character)].map(octal).join("");

/** A message or a line of a file. Its line ends and tabs stay. @param {string} text */
export const shownText = (text) => text.replace(UNSAFE, (each) => (each === "\n" || each === "\t" ? each : escaped(each)));

/** A path or name: as in the shell's $'...'. @param {string} name */
export const shownName = (name) => name.replaceAll("\\", "\\\\").replace(UNSAFE, escaped).replace(EDGE_SPACE, "\\040");
