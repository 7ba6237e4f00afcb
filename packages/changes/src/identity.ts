/** The state of an object: another state has another identity. */
import { isDirectory } from "@sluice/layer-tools";
import { StatWord } from "@sluice/native";
import type { Attr } from "@sluice/vfs";

export const NS = 1_000_000_000n;

/** Nanoseconds since 1970. */
export const changedAt = (attr: Attr): bigint => BigInt(attr.ctimeSec) * NS + BigInt(attr.ctimeNsec);

/** The same for all names of an inode. */
export const inodeKeyOf = ({ words, ino }: Attr): string => `${words[StatWord.devMajor]}:${words[StatWord.devMinor]} ${ino}`;

export function identityOf(attr: Attr): string {
  const { words, ino, size, mode } = attr;
  return `${words[StatWord.devMajor]}:${words[StatWord.devMinor]} ${ino} ${size} ${mode} ${changedAt(attr)}`;
}

const IDENTITY_WORDS = [StatWord.devMajor, StatWord.devMinor, 0, 1, 2, 3, 10, 11, 14, 15];

/** Whether two objects have the same identity, without making strings. */
export function sameIdentity({ words: one }: Attr, { words: other }: Attr): boolean {
  return IDENTITY_WORDS.every((word) => one[word] === other[word]);
}

/** The same, but entries of a directory come and go. */
export function sealOf(attr: Attr): string {
  if (!isDirectory(attr)) return identityOf(attr);
  return `${attr.words[StatWord.devMajor]}:${attr.words[StatWord.devMinor]} ${attr.ino} ${attr.mode} ${attr.uid}:${attr.gid}`;
}

/** A move away and back does not change this; a change of content does, by mtime. */
export function contentStateOf(attr: Attr): string {
  const times = isDirectory(attr) ? "" : ` ${attr.size} ${attr.mtimeSec}.${attr.mtimeNsec}`;
  return `${attr.mode} ${attr.uid}:${attr.gid}${times}`;
}
