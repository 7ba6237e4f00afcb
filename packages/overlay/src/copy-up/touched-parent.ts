/** The effects of a copy-up on directories of the upper layer. */
import { AT, Attr, type ByteName, Errno, S } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import type { RealDir } from "../layer/host-layer.js";
import { forgetOpened, noteOpened, statFd, upkeep } from "../layer/system-calls.js";
import { writeImpure } from "../marks/directory-marks.js";
import type { Node } from "../node/node.js";

const MODE_BITS = 0o7777;
const WRITE_AND_SEARCH = 0o300;
const attr = new Attr();

/** A directory of the upper layer. */
export interface Touched {
  fd: number;
  /** In the layer. It may not be there yet. */
  path: ByteName;
}

/**
 * Lets `act` change a directory of the upper layer that its mode closes to its owner, or move it. Whoever copies up needs no right to the
 * directory, and a server without privilege has only the rights of its user: so it changes the mode for the moment. If it is killed then, the
 * next user of the layer puts the mode back, by a note in the scratch directory. `act` gives a negative errno or 0.
 */
export function whileOpen(core: CopyUpContext, { fd, path }: Touched, act: () => number): number {
  if (core.config.ownerAccess === undefined || statFd(fd, attr) < 0) return -Errno.EACCES;
  const mode = attr.mode & MODE_BITS;
  // The kernel could take the setgid bit away for good.
  if ((mode & S.ISGID) !== 0) return -Errno.EACCES;
  const scratch = core.fds.of(core.scratch as RealDir);
  const note = core.scratchName();
  const noted = noteOpened(scratch, note, { path, stat: attr.words });
  if (noted < 0) return noted;
  const opened = upkeep.fchmodat(fd, "", mode | WRITE_AND_SEARCH, AT.EMPTY_PATH);
  const status = opened < 0 ? -Errno.EACCES : act();
  const closed = opened < 0 ? 0 : upkeep.fchmodat(fd, "", mode, AT.EMPTY_PATH);
  if (closed >= 0) forgetOpened(scratch, note);
  return status;
}

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
