/** Attributes and statistics in the addon's form: 32-bit words, times in milliseconds. */
import type { Attr, StatfsOut } from "@sluice/vfs";

const STAT_WORDS = 18;
const STATFS_WORDS = 11;
const HI = 0x1_0000_0000;
const WORD = 0xffff_ffff;
/** An odd number without pattern (2^32 divided by the golden ratio), so that high words spread over the low one. */
const SPREAD = 0x9e3779b1;

/** 64 bits of inode number in 32: itself if it is short, and never 0. */
export function foldIno(lo: number, hi: number): number {
  return hi === 0 ? lo : (lo ^ Math.imul(hi, SPREAD)) >>> 0 || 1;
}

function setMilliseconds(words: Uint32Array, at: number, sec: number, nsec: number): void {
  // The addon's milliseconds are unsigned: a time before 1970 would lie far in the future.
  const ms = Math.max(0, sec * 1000 + Math.floor(nsec / 1_000_000));
  words[at] = ms % HI;
  words[at + 1] = Math.floor(ms / HI);
}

export function noStat(): Uint32Array {
  return new Uint32Array(STAT_WORDS);
}

export function statWords(attr: Attr): Uint32Array {
  const words = noStat();
  const from = attr.words;
  words[0] = attr.mode;
  words[1] = attr.uid;
  words[2] = attr.gid;
  words[3] = from[2] as number;
  words[4] = from[3] as number;
  words[6] = attr.nlink;
  words[7] = foldIno(from[0] as number, from[1] as number);
  words[8] = attr.rdev;
  words[9] = attr.blksize;
  words[10] = from[4] as number;
  words[11] = from[5] as number;
  setMilliseconds(words, 12, attr.atimeSec, attr.atimeNsec);
  setMilliseconds(words, 14, attr.mtimeSec, attr.mtimeNsec);
  setMilliseconds(words, 16, attr.ctimeSec, attr.ctimeNsec);
  return words;
}

/** A directory entry's inode number and type. */
export function entryStat(inoLo: number, inoHi: number, type: number): Uint32Array {
  const words = noStat();
  words[0] = type << 12;
  words[7] = foldIno(inoLo, inoHi);
  return words;
}

export function noStatfs(): Uint32Array {
  return new Uint32Array(STATFS_WORDS);
}

/** If counts do not fit, they count larger blocks: the sizes stay right. */
export function statfsWords(of: StatfsOut): Uint32Array {
  let scale = 1;
  while (of.blocks / scale > WORD) scale *= 2;
  const words = noStatfs();
  words[0] = of.bsize;
  words[1] = of.frsize * scale;
  words[2] = Math.floor(of.blocks / scale);
  words[3] = Math.floor(of.bfree / scale);
  words[4] = Math.floor(of.bavail / scale);
  words[5] = Math.min(of.files, WORD);
  words[6] = Math.min(of.ffree, WORD);
  words[7] = Math.min(of.ffree, WORD);
  words[10] = of.namelen;
  return words;
}
