/** Lists of SHA-256 sums that a policy names: files as sha256sum(1) writes them. */
import type { PolicyDocument } from "./policy-schema.js";

/** By the name that conditions have for it. A map, since looking one up must not depend on how many there are. */
export type DigestLists = ReadonlyMap<string, ReadonlyMap<string, string>>;

export const NO_DIGEST_LISTS: DigestLists = new Map();

/** Reading one takes milliseconds: questions wait for no longer. */
const MAX_LIST_BYTES = 8 * 1024 * 1024;
/** A line of sha256sum: the sum, a blank, " " or "*", the name; with a backslash before it where the name is escaped. */
const LINE = /^\\?([0-9a-fA-F]{64})(\s|$)/;

export interface ListFiles {
  /** Throws `PolicyError` at the place of `path`. */
  read(name: string, path: readonly PropertyKey[], maxBytes?: number): Buffer;
  problem(path: readonly PropertyKey[], message: string, remedy: string): Error;
}

function readList(file: string, path: readonly PropertyKey[], files: ListFiles): ReadonlyMap<string, string> {
  const list = new Map<string, string>();
  const text = files.read(file, path, MAX_LIST_BYTES).toString("latin1");
  for (const [index, line] of text.split("\n").entries()) {
    if (line === "" || line.startsWith("#")) continue;
    const digest = LINE.exec(line)?.[1];
    if (digest === undefined)
      throw files.problem(path, `'${file}', line ${index + 1}: it begins with no SHA-256 sum`, "write the file with 'sha256sum FILE…'");
    list.set(digest.toLowerCase(), "");
  }
  return list;
}

/** Throws `PolicyError`. */
export function readDigestLists(document: PolicyDocument, files: ListFiles): DigestLists {
  const { digests } = document;
  if (digests === undefined) return NO_DIGEST_LISTS;
  return new Map(Object.entries(digests).map(([name, file]) => [name, readList(file, ["digests", name], files)]));
}
