/** Tells whether a directory record of a layer is a name, a whiteout, or gone. */
import { type ByteName, DT, S } from "@sluice/vfs";
import type { ListedLayers } from "./merged-layers.js";
import { statName } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import { isForeignMark } from "../marks/foreign-marks.js";
import { isWhiteout, isXattrWhiteout } from "../marks/whiteout.js";

export const GONE = -1;
export const WHITEOUT = -2;

/** The entry's DT type, WHITEOUT or GONE. Costs a system call only if the record leaves it open. */
export function judgeEntry(core: ListedLayers, at: { dir: RealDir; fd: number }, entry: { name: ByteName; type: number }): number {
  const { type, name } = entry;
  if (core.marks.foreign && isForeignMark(name)) return WHITEOUT;
  const open = type === DT.CHR || type === DT.UNKNOWN || (at.dir.xattrWhiteouts && type === DT.REG);
  if (!open) return type;
  const attr = core.scratchAttr;
  if (statName(at.fd, name, attr) < 0) return GONE;
  if (isWhiteout(attr)) return WHITEOUT;
  if (at.dir.xattrWhiteouts && isXattrWhiteout(core.marks, { dirFd: at.fd, name }, attr)) return WHITEOUT;
  return (attr.mode & S.IFMT) >>> 12;
}
