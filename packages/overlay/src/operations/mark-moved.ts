/**
 * Marks what has something in the layers below before it gets another name: a directory finds its lower entries from its new place, and
 * no others; a metadata-only copy finds its data (fs/overlayfs/dir.c ovl_set_redirect).
 */
import { type ByteName, Errno } from "@sluice/vfs";
import { markImpure } from "../copy-up/touched-parent.js";
import type { RenamePlan } from "../journal/intents.js";
import type { DataLocation } from "../layer/data-location.js";
import { statName } from "../layer/system-calls.js";
import { type DirectoryMarks, readDirectoryMarks, writeOpaque } from "../marks/directory-marks.js";
import { readRedirect, writeRedirect } from "../marks/redirect.js";
import { existsBelow } from "../merge/find.js";
import type { MergedLayers } from "../merge/merged-layers.js";
import type { Node } from "../node/node.js";
import { aim } from "../node/open-node.js";
import type { CopyUpContext } from "../copy-up/copy-up-context.js";

/** Bytes. Every reader of the mark has room for so many. */
const REDIRECT_MAX = 4096;
const marks: DirectoryMarks = { opaque: false, xattrWhiteouts: false, impure: false, redirect: undefined };

/** 0 or a positive errno. */
export function markMoved(core: CopyUpContext & MergedLayers, plan: RenamePlan, node: Node): number {
  const into = node === plan.node ? plan.newParent : plan.parent;
  const name = node === plan.node ? plan.newName : plan.name;
  if (node.isDirectory) return markDirectory(core, { plan, into, name }, node);
  markImpure(core, into);
  return redirectData(core, node, plan.parent === plan.newParent);
}

/**
 * A metadata-only copy is about to get another name; `samePlace`: in the same directory, and it loses the one that it has. A file of
 * several names, which may lie in several directories, needs a path that holds from all of them. 0 or a positive errno.
 */
export function redirectData(core: CopyUpContext, node: Node, samePlace: boolean): number {
  const { data, parent } = node;
  if (data === undefined || parent === undefined) return 0;
  const at = aim(core, node);
  if (at.fd < 0) return -at.fd;
  const known = readRedirect(core.marks, at.fd, at.name);
  if (typeof known === "number") return Errno.EIO;
  const relative = samePlace && !hasSeveralNames(core, data);
  if (known !== undefined && (relative || known.absolute)) return 0;
  const name = known?.components[0] ?? node.name;
  return mark(core, { dirFd: at.fd, name: at.name }, relative ? name : pathInLowers(core, parent, `/${name}`));
}

function hasSeveralNames(core: CopyUpContext, { dir, name }: DataLocation): boolean {
  const dirFd = dir === undefined ? -1 : core.fds.of(dir);
  return dirFd >= 0 && statName(dirFd, name, core.scratchAttr) === 0 && core.scratchAttr.nlink > 1;
}

/** The new name of a directory. */
interface Target {
  plan: RenamePlan;
  into: Node;
  name: ByteName;
}

function markDirectory(core: CopyUpContext & MergedLayers, { plan, into, name }: Target, node: Node): number {
  const own = node.upperDir;
  if (own === undefined) return Errno.ESTALE;
  const fd = core.fds.of(own);
  if (fd < 0) return -fd;
  const lower = node.dirs?.[1];
  if (lower === undefined) {
    // Nothing below belongs to it; at the new place something might, unless that is of the upper layer alone (ovl_rename).
    if (!into.isMerged) return 0;
    // Others change the layers: see hidesLaterNames.
    if (core.config.sharedLower && !existsBelow(core, into, name)) return 0;
    const status = node.opaque && hasMark(core, fd) ? 0 : writeOpaque(core.marks, fd, "");
    return status === -Errno.EOPNOTSUPP ? Errno.EXDEV : -status || 0;
  }
  // Its number is the lower directory's, whichever move this is.
  markImpure(core, into);
  const samePlace = plan.parent === plan.newParent;
  if (readDirectoryMarks(core.marks, fd, "", marks) < 0) return Errno.EIO;
  if (marks.redirect !== undefined && (samePlace || marks.redirect.absolute)) return 0;
  // In the same directory the lower name is enough; elsewhere the path from the layers' roots.
  return mark(core, { dirFd: fd, name: "" }, samePlace ? lower.name : pathInLowers(core, node, ""));
}

function mark(core: CopyUpContext, at: { dirFd: number; name: ByteName }, redirect: string | undefined): number {
  if (redirect === undefined) return Errno.EIO;
  if (redirect.length > REDIRECT_MAX) return Errno.EXDEV;
  return cannotRedirect(writeRedirect(core.marks, at, redirect));
}

/** A file system that has no room for the mark: EXDEV, so that the caller copies the tree instead (as overlayfs answers). */
function cannotRedirect(status: number): number {
  const noRoom = status === -Errno.ENOSPC || status === -Errno.ERANGE || status === -Errno.E2BIG || status === -Errno.EOPNOTSUPP;
  return noRoom ? Errno.EXDEV : -status || 0;
}

function hasMark(core: CopyUpContext, fd: number): boolean {
  return readDirectoryMarks(core.marks, fd, "", marks) === 0 && marks.opaque;
}

/**
 * The path that leads to the directory's lower directories from the layers' roots, as the lower layers together show it, and on to
 * `rest`: a layer between may have moved a directory on the path, so it is not the path in the layer where the node lies
 * (ovl_get_redirect). Undefined if a mark cannot be read.
 */
function pathInLowers(core: CopyUpContext, directory: Node, rest: string): string | undefined {
  let path = rest;
  for (let at: Node = directory; at.parent !== undefined; at = at.parent) {
    const own = at.upperDir;
    if (own !== undefined && readDirectoryMarks(core.marks, core.fds.of(own), "", marks) < 0) return undefined;
    const redirect = own === undefined ? undefined : marks.redirect;
    if (redirect?.absolute === true) return `/${redirect.components.join("/")}${path}`;
    path = `/${redirect?.components[0] ?? at.name}${path}`;
  }
  return path;
}
