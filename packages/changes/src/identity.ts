/**
 * The state of an object: another state has another identity. The number of its device is in no identity that is written down: an external disk,
 * btrfs and a container get others. All objects of a record lie on one file system, and their times of change tell them from all others.
 */
import { isDirectory } from "@sluice/layer-tools";
import { StatWord } from "@sluice/native";
import { Attr } from "@sluice/vfs";

export const NS = 1_000_000_000n;

/** Nanoseconds since 1970. */
export const changedAt = (attr: Attr): bigint => BigInt(attr.ctimeSec) * NS + BigInt(attr.ctimeNsec);

/** The same attributes with another time of change. */
export function withChange({ words }: Attr, changed: bigint): Attr {
  const other = new Attr();
  other.words.set(words);
  const seconds = changed / NS;
  other.words[StatWord.ctimeLo] = Number(BigInt.asUintN(32, seconds));
  other.words[StatWord.ctimeHi] = Number(seconds >> 32n);
  other.words[StatWord.ctimeNsec] = Number(changed % NS);
  return other;
}

/** A key that all names of an inode share. */
export const inodeKeyOf = ({ words, ino }: Pick<Attr, "words" | "ino">): string =>
  `${words[StatWord.devMajor]}:${words[StatWord.devMinor]} ${ino}`;

/** The inode with its present content and attributes, on its file system. */
export function identityOf(attr: Attr): string {
  const { ino, size, mode } = attr;
  return `${ino} ${size} ${mode} ${changedAt(attr)}`;
}

const IDENTITY_WORDS = [StatWord.devMajor, StatWord.devMinor, 0, 1, 2, 3, 10, 11, 14, 15];

/** Whether two objects have the same identity, without making strings. */
export function sameIdentity({ words: one }: Attr, { words: other }: Attr): boolean {
  return IDENTITY_WORDS.every((word) => one[word] === other[word]);
}

/** As `identityOf`, but the entries of a directory may come and go. */
export function sealOf(attr: Attr): string {
  if (!isDirectory(attr)) return identityOf(attr);
  return `${attr.ino} ${attr.mode} ${attr.uid}:${attr.gid}`;
}

/** A move away and back does not change this; a change of content does, by mtime. */
export function contentStateOf(attr: Attr): string {
  const times = isDirectory(attr) ? "" : ` ${attr.size} ${attr.mtimeSec}.${attr.mtimeNsec}`;
  return `${attr.mode} ${attr.uid}:${attr.gid}${times}`;
}
