/** The effects of a copy-up on its upper parent directory. */
import { AT, type Attr } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import { upkeep } from "../layer/system-calls.js";
import { writeImpure } from "../marks/directory-marks.js";
import type { Node } from "../node/node.js";

/** Before the first object with an origin: tells overlayfs that inode numbers in this directory need a look. */
export function markImpure(core: CopyUpContext, parent: Node): void {
  const dir = parent.upperDir;
  if (dir === undefined || dir.impure) return;
  const fd = core.fds.of(dir);
  if (fd >= 0 && writeImpure(core.marks, fd, "") >= 0) dir.impure = true;
}

/** A copy-up is no change of the parent directory that anybody asked for: its times stay. */
export function restoreTimes(fd: number, attr: Attr): void {
  const times = { atimeSec: attr.atimeSec, atimeNsec: attr.atimeNsec, mtimeSec: attr.mtimeSec, mtimeNsec: attr.mtimeNsec };
  upkeep.utimensat(fd, "", times, AT.EMPTY_PATH);
}
