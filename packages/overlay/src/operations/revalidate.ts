/**
 * Revalidates names for `--shared-lower`: others change the lower layers. The kernel asks again once its dentry is older than the
 * mount's timeout. The name is then searched again, and a node stays only while its name leads to the same object. The upper
 * layer is ours alone, and so are those that were it before.
 */
import { type Attr, type ByteName, Errno, O } from "@sluice/vfs";
import type { IoContext } from "../io/io-context.js";
import { openDirectory, reopen } from "../layer/system-calls.js";
import { RealDir } from "../layer/host-layer.js";
import { find } from "../merge/find.js";
import { Found } from "../node/found.js";
import { mixDevice } from "../node/admit.js";
import { type Dentry, type Node, pathAt } from "../node/node.js";
import { statNode } from "../node/open-node.js";

const again = new Found();

/** 0 where `known` is what `at` leads to, with its attributes in `found.attr`; else a negative errno. */
export function revalidate(core: IoContext, known: Node, at: Dentry, found: Found): number {
  // Its object does not lie at its name, or is about to move to the upper layer.
  if (known.unlinked || known.indexed !== undefined || core.copyUpJobs.has(known)) return statNode(core, known, found.attr);
  const errno = find(core, at.parent, at.name, found);
  if (errno !== 0) return -errno;
  if (found.kind === 0) return -Errno.ENOENT;
  if (found.kind !== known.kind) return -Errno.ESTALE;
  return known.isDirectory ? revalidateDirectory(core, known, found) : revalidateObject(core, known, at, found);
}

function revalidateObject(core: IoContext, known: Node, at: Dentry, found: Found): number {
  const dir = found.dir as RealDir;
  if (dir.layer !== known.top.layer || !isSelf(core, known, found.attr)) return -Errno.ESTALE;
  // The directory may have become another one while the file in it is the same.
  if (known.parent === at.parent && known.name === at.name) known.dir = dir;
  return 0;
}

function revalidateDirectory(core: IoContext, known: Node, found: Found): number {
  const top = found.dirs[0] as RealDir;
  if (top.layer !== known.top.layer || !(top.layer.isOurs || isSame(top, known.top))) return -Errno.ESTALE;
  const before = known.dirs as RealDir[];
  const now = found.dirs.map((dir) => reuse(before, dir));
  for (const dir of before) if (!now.includes(dir)) core.fds.drop(dir);
  known.dirs = now;
  known.opaque = found.opaque;
  return 0;
}

/** The known directory, with its descriptor and its marks, if it is the same as the one that was found. */
function reuse(before: readonly RealDir[], dir: RealDir): RealDir {
  const known = before.find(({ layer }) => layer === dir.layer);
  if (known === undefined || !(dir.layer.isOurs || isSame(known, dir))) return dir;
  known.parent = dir.parent;
  known.name = dir.name;
  return known;
}

function isSame(one: RealDir, other: RealDir): boolean {
  return one.inoLo === other.inoLo && one.inoHi === other.inoHi && one.device === other.device;
}

/** Is that what the node was made for? `attr` as the layer has it. */
function isSelf(core: IoContext, node: Node, { words }: Attr): boolean {
  const { layer } = node.top;
  if (layer.isOurs) return true;
  return words[0] === node.inoLo && mixDevice(core, words[1] as number, layer.deviceIndex) === node.inoHi;
}

/** Did others replace a lower file? `attr` are the attributes of the object that lies there now. */
export function isReplaced(core: IoContext, node: Node, attr: Attr): boolean {
  return core.config.sharedLower && !node.isDirectory && !node.unlinked && node.indexed === undefined && !isSelf(core, node, attr);
}

/** Attributes of the node's own object, even if its name leads to another one by now. 0 or the negative errno. */
export function statOwn(core: IoContext, node: Node, attr: Attr): number {
  const status = statNode(core, node, attr);
  if (!core.config.sharedLower || node.parent === undefined || node.inUpper) return status;
  if (status === 0 ? !isReplaced(core, node, attr) : !isGone(status)) return status;
  dropDentry(core, node, { parent: node.parent, name: node.name });
  return statNode(core, node, attr);
}

/** Tells that another object, or none, is there now. Any other errno tells nothing about it. */
export function isGone(status: number): boolean {
  return status === -Errno.ENOENT || status === -Errno.ESTALE || status === -Errno.ENOTDIR;
}

/**
 * Drops a name that does not lead to its node any more, by nobody's operation on the mount, with all names below it. Open files of
 * the node stay valid. Otherwise nothing reaches it again: an object that took its place is judged by itself.
 */
export function dropDentry(core: IoContext, node: Node, at: Dentry): void {
  const path = pathAt(at.parent, at.name);
  for (const [name, child] of [...(node.children ?? [])]) dropDentry(core, child, { parent: node, name });
  node.version++;
  if (core.nodes.detach(node, at.parent, at.name)) return revalidateNextName(core, node);
  node.lastPath = path;
  core.backings.drop(node);
  if (node.unlinked) return core.nodes.letGo(node);
  const fd = heldOpen(node);
  if (fd >= 0) {
    core.journal?.storeFd(node, fd);
    node.fd = fd;
    core.journal?.nameless(node);
  }
  for (const dir of node.dirs ?? []) core.fds.drop(dir);
  const nowhere = new RealDir(node.top.layer, undefined, "");
  if (node.dirs === undefined) node.dir = nowhere;
  else node.dirs = [nowhere];
  core.nodes.letGo(node);
}

/** The node has another name, by which it may be reached. */
function revalidateNextName(core: IoContext, node: Node): void {
  const at: { parent: Node | undefined; name: ByteName } = node;
  if (at.parent === undefined) return;
  const other = { parent: at.parent, name: at.name };
  if (isGone(revalidate(core, node, other, again))) dropDentry(core, node, other);
}

/** An O_PATH descriptor of the object, by one that is open already; or a negative errno. */
function heldOpen(node: Node): number {
  if (node.dirs !== undefined) return node.top.fd < 0 ? node.top.fd : openDirectory(node.top.fd, O.PATH);
  for (const file of node.io?.handles ?? []) {
    if (file.layer === node.dataLayer && node.data === undefined) return reopen(file.fd, O.PATH);
  }
  return -Errno.ESTALE;
}
