/** Names as git writes them into a patch: in quotes, as C strings, if they hold a byte that is not plain. */
import { escapeBytes } from "@sluice/runtime/cli";

const PLAIN = /^[ !#-[\]-~]*$/;
/** @param name a byte string */
export function quoteName(name: string): string {
  if (PLAIN.test(name)) return name;
  return `"${name.replace(/[^ !#-[\]-~]/g, (byte) => (byte === '"' ? '\\"' : escapeBytes(byte)))}"`;
}

/** The same in a line that may hold a time after the name: a tab ends a name with a space in it. */
export function quoteFileName(name: string): string {
  const quoted = quoteName(name);
  return quoted === name && name.includes(" ") ? `${name}\t` : quoted;
}
