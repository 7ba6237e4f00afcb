/** Paths between Node, which takes UTF-8 strings, and the addon, which takes byte strings (one character, one byte). */

export function toBytes(path: string): string {
  return Buffer.from(path, "utf8").toString("latin1");
}

/** For people: bytes that are not UTF-8 appear as U+FFFD. */
export function toText(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}
