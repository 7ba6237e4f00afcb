/**
 * Whether a file may have been written since the last look: one system call, so that it can be asked before each open.
 * The kernel has the new times before the write returns, which no notification can promise.
 */
import { native, STAT_WORDS, StatWord } from "@sluice/native";
import { toBytes } from "../path-bytes.js";

const AT_FDCWD = -100;
/** Times may be this coarse: what was written within it could be written again unseen. */
const SETTLED_MS = 200;
const WATCHED = [
  StatWord.inoLo,
  StatWord.inoHi,
  StatWord.sizeLo,
  StatWord.sizeHi,
  StatWord.mtimeLo,
  StatWord.mtimeNsec,
  StatWord.ctimeLo,
  StatWord.ctimeHi,
  StatWord.ctimeNsec,
  StatWord.devMajor,
  StatWord.devMinor,
] as const;

/** The first call says true: nothing is known of before. A file that is gone is one that was touched, once. */
export function touchedSince(file: string): () => boolean {
  const name = toBytes(file);
  const now = new Uint32Array(STAT_WORDS);
  const seen = new Uint32Array(STAT_WORDS);
  let seenStatus = 1;
  let settlesAtMs = 0;
  return () => {
    const status = native.statx(AT_FDCWD, name, 0, now);
    let same = status === seenStatus;
    if (status === 0) for (const word of WATCHED) same &&= now[word] === seen[word];
    if (!same) {
      seen.set(now);
      seenStatus = status;
      settlesAtMs = Date.now() + SETTLED_MS;
      return true;
    }
    if (settlesAtMs === 0) return false;
    if (Date.now() >= settlesAtMs) settlesAtMs = 0;
    return true;
  };
}
