/** A path as the native addon takes it: one character, one byte. */
export function toBytes(path: string): string {
  return Buffer.from(path, "utf8").toString("latin1");
}
