/** Marks a directory before it moves, so that it finds its lower entries from its new place, and no others. */
import { Errno } from "@sluice/vfs";
import type { OperationContext } from "./operation-context.js";
import { type DirectoryMarks, readDirectoryMarks, writeOpaque } from "../marks/directory-marks.js";
import { writeRedirect } from "../marks/redirect.js";
import { markImpure } from "../copy-up/touched-parent.js";
import type { RenamePlan } from "../journal/intents.js";
import type { Node } from "../node/node.js";

/** Bytes; what every reader of the mark has room for. */
const REDIRECT_MAX = 4096;
const marks: DirectoryMarks = { opaque: false, xattrWhiteouts: false, impure: false, redirect: undefined };

/** 0 or a positive errno. Nothing to do for what is no directory. */
export function markMovedDirectory(core: OperationContext, plan: RenamePlan, node: Node): number {
  const into = node === plan.node ? plan.newParent : plan.parent;
  if (node.isDirectory) return markDirectory(core, { plan, into }, node);
  markImpure(core, into);
  return 0;
}

function markDirectory(core: OperationContext, { plan, into }: { plan: RenamePlan; into: Node }, node: Node): number {
  const own = node.upperDir;
  if (own === undefined) return Errno.ESTALE;
  const fd = core.fds.of(own);
  if (fd < 0) return -fd;
  const lower = node.dirs?.[1];
  if (lower === undefined) {
    // Nothing below belongs to it; at the new place something might, unless that is of the upper layer alone (ovl_rename).
    if (!into.isMerged) return 0;
    const status = node.opaque && hasMark(core, fd) ? 0 : writeOpaque(core.marks, fd, "");
    return status === -Errno.EOPNOTSUPP ? Errno.EXDEV : -status || 0;
  }
  // Its number is the lower directory's, whichever move this is.
  markImpure(core, into);
  const samePlace = plan.parent === plan.newParent;
  if (readDirectoryMarks(core.marks, fd, "", marks) < 0) return Errno.EIO;
  if (marks.redirect !== undefined && (samePlace || marks.redirect.absolute)) return 0;
  // In the same directory the lower name is enough; elsewhere the path from the layers' roots.
  const redirect = samePlace ? lower.name : pathInLowers(core, node);
  if (redirect === undefined) return Errno.EIO;
  if (redirect.length > REDIRECT_MAX) return Errno.EXDEV;
  return cannotRedirect(writeRedirect(core.marks, { dirFd: fd, name: "" }, redirect));
}

/** A file system that has no room for the mark: EXDEV, so that the caller copies the tree instead (as overlayfs answers). */
function cannotRedirect(status: number): number {
  const noRoom = status === -Errno.ENOSPC || status === -Errno.ERANGE || status === -Errno.E2BIG || status === -Errno.EOPNOTSUPP;
  return noRoom ? Errno.EXDEV : -status || 0;
}

function hasMark(core: OperationContext, fd: number): boolean {
  return readDirectoryMarks(core.marks, fd, "", marks) === 0 && marks.opaque;
}

/**
 * The path that leads to the node's lower directories from the layers' roots, as the lower layers together show it: a layer
 * between may have moved a directory on the path, so it is not the path in the layer where the node lies (ovl_get_redirect).
 * Undefined where a mark cannot be read.
 */
function pathInLowers(core: OperationContext, node: Node): string | undefined {
  let path = "";
  for (let at: Node = node; at.parent !== undefined; at = at.parent) {
    const own = at.upperDir;
    if (own !== undefined && readDirectoryMarks(core.marks, core.fds.of(own), "", marks) < 0) return undefined;
    const redirect = own === undefined ? undefined : marks.redirect;
    if (redirect?.absolute === true) return `/${redirect.components.join("/")}${path}`;
    path = `/${redirect?.components[0] ?? at.name}${path}`;
  }
  return path;
}
