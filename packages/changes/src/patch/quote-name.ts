/** Names as git writes them into a patch: in quotes, as C strings, if they hold a byte that is not plain. */
const PLAIN = /^[ !#-[\]-~]*$/;
const LETTERS: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\v": "\\v",
  "\f": "\\f",
  "\r": "\\r",
  '"': '\\"',
  "\\": "\\\\",
};

/** @param name a byte string */
export function quoteName(name: string): string {
  if (PLAIN.test(name)) return name;
  const escaped = name.replace(/[^ !#-[\]-~]/g, (byte) => LETTERS[byte] ?? `\\${byte.charCodeAt(0).toString(8).padStart(3, "0")}`);
  return `"${escaped}"`;
}

/** The same in a line that may hold a time after the name: a tab ends a name with a space in it. */
export function quoteFileName(name: string): string {
  const quoted = quoteName(name);
  return quoted === name && name.includes(" ") ? `${name}\t` : quoted;
}
