/** Removes a directory of the upper file system that holds nothing but whiteouts. */
import { AT, Attr, Errno, O } from "@sluice/vfs";
import type { Core } from "../core.js";
import { parseDirents } from "../layer/dirents.js";
import { openName, statName, sys, upkeep } from "../layer/host-layer.js";
import { isForeignMark } from "../marks/foreign-marks.js";
import { isWhiteout } from "../marks/whiteout.js";

const bytes = Buffer.alloc(65_536);
const attr = new Attr();

/** 0, or a negative errno; ENOTEMPTY where something else is in it, which stays. */
export function purgeDirectory(core: Core, dirFd: number, name: string): number {
  const status = clearWhiteouts(dirFd, name, core.marks.foreign);
  return status < 0 ? status : upkeep.unlinkat(dirFd, name, AT.REMOVEDIR);
}

function clearWhiteouts(dirFd: number, name: string, foreign: boolean): number {
  const fd = openName(dirFd, name, O.RDONLY | O.DIRECTORY, 0);
  if (fd < 0) return fd;
  const names: string[] = [];
  let length = sys.getdents64(fd, bytes);
  for (; length > 0; length = sys.getdents64(fd, bytes)) {
    parseDirents(bytes, length, (entry) => {
      if (entry !== "." && entry !== "..") names.push(entry);
    });
  }
  let status = length;
  for (const entry of names) {
    if (statName(fd, entry, attr) < 0) continue;
    status = isWhiteout(attr) || (foreign && isForeignMark(entry)) ? upkeep.unlinkat(fd, entry, 0) : -Errno.ENOTEMPTY;
    if (status < 0) break;
  }
  sys.close(fd);
  return status;
}
