/** Tells the directory of a session from another one that somebody made at its path. */
import { isOfOverlay, type Tree } from "@sluice/layer-tools/tree";
import { native, StatWord, toBytes } from "@sluice/native";
import { AT, Attr, O } from "@sluice/vfs";
import type { SessionRecord } from "./record.js";

/** Null: its file system does not keep the time of birth, or an overlay gives it another one. */
function birthOf(fd: number): string | null {
  const attr = new Attr();
  if (fd < 0 || isOfOverlay(fd) || native.statx(fd, "", AT.EMPTY_PATH, attr.words) < 0) return null;
  const [hi, lo, nsec] = [StatWord.btimeHi, StatWord.btimeLo, StatWord.btimeNsec].map((word) => attr.words[word] as number);
  return hi === 0 && lo === 0 ? null : `${hi}:${lo}.${nsec}`;
}

export function baseBirth(base: string): string | null {
  const fd = native.openat(AT.FDCWD, toBytes(base), O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  const birth = birthOf(fd);
  if (fd >= 0) native.close(fd);
  return birth;
}

export function isOtherBase({ baseBorn }: Pick<SessionRecord, "baseBorn">, { fd }: Pick<Tree, "fd">): boolean {
  const birth = birthOf(fd);
  return baseBorn !== null && birth !== null && birth !== baseBorn;
}
