/**
 * Whiteouts that are links of one inode in the scratch directory, as overlayfs makes them (fs/overlayfs/dir.c ovl_whiteout): a removed
 * tree costs names and no inodes.
 */
import { type ByteName, Errno, RENAME } from "@sluice/vfs";
import { upkeep } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import type { DirectoryAccess, ScratchDirectory } from "../layer/layer-stack.js";
import { makeWhiteout } from "./whiteout.js";

/** Its name in the scratch directory; "none" while it is still to be made, "impossible" if it cannot be linked. */
export type SharedWhiteout = { state: "none" } | { state: "made"; name: ByteName } | { state: "impossible" };

/** The scratch directory, and the whiteout in it that others are links of. */
export interface WhiteoutSource extends DirectoryAccess, ScratchDirectory {
  whiteout: SharedWhiteout;
}

/** Makes a whiteout under a name that does not exist. 0 or the negative errno. */
export function putWhiteout(core: WhiteoutSource, dirFd: number, name: ByteName): number {
  const scratch = core.fds.of(core.scratch as RealDir);
  if (core.whiteout.state === "none" && scratch >= 0) makeShared(core, scratch);
  if (core.whiteout.state !== "made") return makeWhiteout(dirFd, name);
  const shared = core.whiteout.name;
  const status = upkeep.linkat(scratch, shared, dirFd, name, 0);
  if (status >= 0 || status === -Errno.EEXIST) return status;
  if (status !== -Errno.EMLINK) {
    core.whiteout = { state: "impossible" };
    upkeep.unlinkat(scratch, shared, 0);
    return makeWhiteout(dirFd, name);
  }
  // It has as many links as it can have: this is its last one, and the next whiteout is another.
  core.whiteout = { state: "none" };
  return upkeep.renameat2(scratch, shared, dirFd, name, RENAME.NOREPLACE);
}

function makeShared(core: WhiteoutSource, scratch: number): void {
  const name = core.scratchName();
  if (makeWhiteout(scratch, name) >= 0) core.whiteout = { state: "made", name };
}

/** The scratch directory holds nothing once the mount has ended. */
export function dropSharedWhiteout(core: WhiteoutSource): void {
  if (core.whiteout.state === "made" && core.scratch !== undefined) upkeep.unlinkat(core.scratch.fd, core.whiteout.name, 0);
}
