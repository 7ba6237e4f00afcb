/** The one step of a copy-up that changes the merged tree: from the scratch directory into its place in the upper layer. */
import { Attr, Errno, O, RENAME } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import { closeFd, reopen, statFd, upkeep } from "../layer/system-calls.js";
import type { RealDir } from "../layer/host-layer.js";
import { setIno } from "../node/admit.js";
import { writeNlink } from "../node/link-index.js";
import type { Node } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { markImpure, whileOpen } from "./touched-parent.js";

const own = new Attr();

export interface FinishedCopy {
  /** In the scratch directory. */
  name: string;
  /** Descriptor of the copy. */
  target: number;
  /** The lower object's handle, if its file system has any. */
  origin: Buffer | undefined;
  /** The lower object's. */
  attr: Attr;
}

/** 0 or a positive errno. */
export function publish(core: CopyUpContext, node: Node, copy: FinishedCopy): number {
  if (node.parent === undefined) return publishNameless(core, node, copy);
  if (copy.attr.nlink > 1 && core.linkIndex !== undefined) return publishInIndex(core, node, copy);
  const scratch = core.fds.of(core.scratch as RealDir);
  const upperDir = node.parent.upperDir;
  if (upperDir === undefined) return Errno.ESTALE;
  markImpure(core, node.parent);
  const into = core.fds.of(upperDir);
  if (into < 0) return -into;
  let status = upkeep.moveKeepingTimes(scratch, copy.name, into, node.name);
  if (status === -Errno.EACCES) status = publishInClosed(core, node, { scratch, into, upperDir, name: copy.name });
  if (status < 0) return -status;
  bookCopy(core, node, { dir: upperDir, name: node.name, copy });
  // The copy has one name, and the kernel knows of all that the lower file has.
  if (copy.attr.nlink > 1 && node.lookups > 0) core.port.dropAttributes(node.id);
  return 0;
}

function publishInClosed(
  core: CopyUpContext,
  node: Node,
  { scratch, into, upperDir, name }: { scratch: number; into: number; upperDir: RealDir; name: string },
): number {
  return whileOpen(core, { fd: into, path: upperDir.components().join("/") }, () => {
    if (node.parent !== undefined) markImpure(core, node.parent);
    return upkeep.moveKeepingTimes(scratch, name, into, node.name);
  });
}

/** A file with several names goes to the index first, where each of them finds it. Its names are linked next (link-up.ts). */
function publishInIndex(core: CopyUpContext, node: Node, copy: FinishedCopy): number {
  const index = core.linkIndex as RealDir;
  const { target, attr } = copy;
  if (copy.origin === undefined) return Errno.EIO;
  const name = copy.origin.toString("hex");
  const scratch = core.fds.of(core.scratch as RealDir);
  let status = upkeep.setxattrat(target, "", core.marks.origin, copy.origin, 0);
  if (status >= 0) status = writeNlink(core, { fd: target, name: "" }, { to: "L", delta: 0 });
  if (status >= 0) status = statFd(target, own);
  if (status >= 0) status = upkeep.renameat2(scratch, copy.name, index.fd, name, RENAME.NOREPLACE);
  if (status < 0) return -status;
  node.indexed = { nlinkDelta: attr.nlink - own.nlink, lowerNlink: attr.nlink, bareNames: true, full: false };
  core.nodes.rememberLink(node, own.ino);
  bookCopy(core, node, { dir: index, name, copy });
  return 0;
}

/** The object lost its name while it was copied, or before: the copy lives on by its descriptor alone. */
function publishNameless(core: CopyUpContext, node: Node, copy: FinishedCopy): number {
  const fd = reopen(copy.target, O.PATH);
  if (fd < 0) return -fd;
  const scratch = core.scratch as RealDir;
  upkeep.unlinkat(core.fds.of(scratch), copy.name, 0);
  core.journal?.storeFd(node, fd);
  if (node.fd >= 0) closeFd(node.fd);
  node.fd = fd;
  bookCopy(core, node, { dir: scratch, name: node.realName, copy });
  core.journal?.nameless(node);
  return 0;
}

interface Booked {
  dir: RealDir;
  name: string;
  copy: FinishedCopy;
}

function bookCopy(core: CopyUpContext, node: Node, place: Booked): void {
  if (core.linkIndex === undefined) core.nodes.partLowerLink(node);
  else core.nodes.forgetLowerLink(node);
  core.journal?.storeBackings(node);
  core.backings.drop(node);
  node.dir = place.dir;
  node.realName = place.name;
  node.version++;
  if (place.copy.attr.nlink > 1 && node.indexed === undefined) partFromLinks(core, node, place.copy.target);
  moveReaders(core, node);
}

/** The lower object's other names stay behind: another object needs another inode number (fs/overlayfs/inode.c ovl_getattr). */
function partFromLinks(core: CopyUpContext, node: Node, target: number): void {
  const { words } = own;
  if (statFd(target, own) < 0) return;
  setIno(core, node, { lo: words[0] as number, hi: words[1] as number, device: node.top.layer.deviceIndex });
  core.journal?.inoChanged(node);
  // Listings that the kernel caches show the old one.
  if (node.parent !== undefined) core.port.invalidateInode(node.parent.id, 0, 0);
}

/** Mediated readers read the copy from now on, and so see later writes. Passthrough ones stay with the lower file. */
export function moveReaders(core: CopyUpContext, node: Node): void {
  for (const file of node.io?.handles ?? []) {
    if (file.mode === "passthrough") continue;
    const fd = openNode(core, node, O.RDONLY);
    if (fd < 0) continue;
    // Reads may be under way on the old one: it is closed with the file.
    file.formerFds ??= [];
    file.formerFds.push(file.fd);
    file.fd = fd;
    file.layer = node.dataLayer;
  }
}
