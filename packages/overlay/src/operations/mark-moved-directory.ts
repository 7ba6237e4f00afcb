/** Marks a directory before it moves, so that it finds its lower entries from its new place, and no others. */
import { Errno } from "@sluice/vfs";
import type { Core } from "../core.js";
import type { RealDir } from "../layer/real-dir.js";
import { type DirectoryMarks, readDirectoryMarks, writeOpaque, writeRedirect } from "../marks/directory-marks.js";
import { markImpure } from "../copy-up/touched-parent.js";
import type { Node } from "../node/node.js";
import type { RenamePlan } from "./rename.js";

const marks: DirectoryMarks = { opaque: false, xattrWhiteouts: false, impure: false, redirect: undefined };

/** 0 or a positive errno. Nothing to do for what is no directory. */
export function markMovedDirectory(core: Core, plan: RenamePlan, node: Node): number {
  const into = node === plan.node ? plan.newParent : plan.parent;
  if (node.isDirectory) return markDirectory(core, plan, node);
  markImpure(core, into);
  return 0;
}

function markDirectory(core: Core, plan: RenamePlan, node: Node): number {
  const own = node.upperDir;
  if (own === undefined) return Errno.ESTALE;
  const fd = core.fds.of(own);
  if (fd < 0) return -fd;
  const lower = node.dirs?.[1];
  if (lower === undefined) {
    // Nothing below belongs to it; at the new place something might.
    return node.opaque && hasMark(core, fd) ? 0 : -writeOpaque(core.marks, fd, "") || 0;
  }
  const samePlace = plan.parent === plan.newParent;
  if (readDirectoryMarks(core.marks, fd, "", marks) < 0) return Errno.EIO;
  if (marks.redirect !== undefined && (samePlace || marks.redirect.absolute)) return 0;
  markImpure(core, node === plan.node ? plan.newParent : plan.parent);
  return -writeRedirect(core.marks, { dirFd: fd, name: "" }, redirectTo(lower, samePlace)) || 0;
}

function hasMark(core: Core, fd: number): boolean {
  return readDirectoryMarks(core.marks, fd, "", marks) === 0 && marks.opaque;
}

/** In the same directory the lower name is enough; elsewhere the path from the layers' roots. */
function redirectTo(lower: RealDir, samePlace: boolean): string {
  return samePlace ? lower.name : `/${lower.components().join("/")}`;
}
