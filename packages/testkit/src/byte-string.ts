// Names as the code under test sees them: one character is one byte.

/** The byte string of ordinary text: the name of `é` on disk. */
export function bytes(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** A path as Node's own fs functions need it to reach a name that is not UTF-8. */
export function nodePath(byteString: string): Buffer {
  return Buffer.from(byteString, "latin1");
}
