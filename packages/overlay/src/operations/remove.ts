/** UNLINK and RMDIR. What lies in a lower layer cannot go away: a whiteout hides it. */
import { AT, Attr, type ByteName, type CallContext, Errno, type NodeId, O, RENAME, type Status } from "@sluice/vfs";
import { copyUp } from "../copy-up/copy-up.js";
import { copyUpDirectory } from "../copy-up/copy-up-directory.js";
import type { Core } from "../core.js";
import { authorizeThen, governsAny } from "../gate/authorize.js";
import type { Access, Intent } from "../gate/gate.js";
import { intendToRemove } from "../journal/intents.js";
import { sys } from "../layer/host-layer.js";
import type { RealDir } from "../layer/real-dir.js";
import { makeWhiteout } from "../marks/whiteout.js";
import { existsBelow } from "../merge/find.js";
import { readContent } from "../merge/listing.js";
import { dropLastIndexed, losesItsCount } from "../node/link-index.js";
import { type Node, pathAt } from "../node/node.js";
import { contentOf, withDescriptor } from "../io/content.js";
import { openNode, statNode } from "../node/open-node.js";
import { readXattrOf } from "../node/node-xattr.js";
import { purgeDirectory } from "./purge-directory.js";
import { childOf, directoryOf } from "./lookup.js";
import { mayTake } from "../node/protection.js";

export function unlink(core: Core, call: CallContext, parentId: NodeId, name: ByteName): Status {
  return remove(core, call, { parentId, name, directory: false });
}

export function rmdir(core: Core, call: CallContext, parentId: NodeId, name: ByteName): Status {
  return remove(core, call, { parentId, name, directory: true });
}

function remove(core: Core, call: CallContext, which: { parentId: NodeId; name: ByteName; directory: boolean }): Status {
  const parent = directoryOf(core, which.parentId);
  if (typeof parent === "number") return parent;
  if (core.upper === undefined) return Errno.EROFS;
  const act = (): Status => removeCounted(core, call, parent, which);
  if (!governsAny(core.gate, "delete")) return act();
  const node = childOf(core, parent, which.name);
  if (typeof node === "number") return node;
  const operation = which.directory ? "rmdir" : "unlink";
  return authorizeThen(core, call, intentOn(core, node, { operation, accesses: ["delete"], path: pathAt(parent, which.name) }), act);
}

/** An intent about an object that exists. `path` first where the operation names one. */
export function intentOn(core: Core, node: Node, what: { operation: Intent["operation"]; accesses: Access[]; path?: string }): Intent {
  const attr = new Attr();
  statNode(core, node, attr);
  const paths = what.path === undefined ? core.paths.of(core, node, attr) : [what.path];
  return {
    operation: what.operation,
    accesses: what.accesses,
    paths,
    layer: node.top.layer.name,
    attr,
    openFlags: 0,
    readXattr: (name) => withDescriptor(core, node, { flags: O.PATH | O.NOFOLLOW, use: (fd) => readXattrOf(fd, name) }),
    content: contentOf(core, node),
  };
}

/** A name among several in a lower layer: copied up first, since only there the count of the others can be kept (ovl_nlink_start). */
function removeCounted(core: Core, call: CallContext, parent: Node, which: { name: ByteName; directory: boolean }): Status {
  const node = core.linkIndex === undefined || which.directory ? undefined : childOf(core, parent, which.name);
  if (node === undefined || typeof node === "number" || !losesItsCount(core, node)) return removeNow(core, call, parent, which);
  const copied = copyUp(core, node, { call, truncate: false });
  const finish = (status: number): number => (status !== 0 ? status : removeNow(core, call, parent, which));
  return typeof copied === "number" ? finish(copied) : copied.then(finish);
}

function removeNow(core: Core, call: CallContext, parent: Node, which: { name: ByteName; directory: boolean }): number {
  const { name } = which;
  const node = childOf(core, parent, name);
  if (typeof node === "number") return node;
  if (node.isDirectory !== which.directory) return which.directory ? Errno.ENOTDIR : Errno.EISDIR;
  const held = mayTake(core, parent, node);
  if (held !== 0) return held;
  if (which.directory) {
    const content = readContent(core, node);
    if (typeof content === "number") return content;
    if (content.names) return Errno.ENOTEMPTY;
  }
  const copied = copyUpDirectory(core, parent);
  if (copied !== 0) return copied;
  const kept = openNode(core, node, O.PATH | O.NOFOLLOW);
  if (kept < 0) return -kept;
  if (node.others === undefined) core.journal?.keep(node, kept);
  intendToRemove(core, call, { parent, name, node });
  const status = which.directory ? removeDirectory(core, node, { parent, name }) : removeFile(core, node, { parent, name });
  if (status < 0) {
    sys.close(kept);
    return -status;
  }
  forgetName(core, node, { parent, name, kept });
  return 0;
}

interface Place {
  parent: Node;
  name: ByteName;
}

function removeFile(core: Core, node: Node, at: Place): number {
  const into = core.fds.of(at.parent.upperDir as RealDir);
  if (into < 0) return into;
  if (!node.inUpper) return makeWhiteout(into, at.name);
  if (!existsBelow(core, at.parent, at.name)) return sys.unlinkat(into, at.name, 0);
  return replaceByWhiteout(core, { into, name: at.name, exchange: false });
}

function removeDirectory(core: Core, node: Node, at: Place): number {
  const into = core.fds.of(at.parent.upperDir as RealDir);
  if (into < 0) return into;
  if (node.upperDir === undefined) return makeWhiteout(into, at.name);
  if (existsBelow(core, at.parent, at.name)) return replaceByWhiteout(core, { into, name: at.name, exchange: true });
  const status = sys.unlinkat(into, at.name, AT.REMOVEDIR);
  return status === -Errno.ENOTEMPTY ? takeAway(core, into, at.name) : status;
}

/** Only whiteouts are left in it: they go where nobody sees that what they hid would show. */
function takeAway(core: Core, into: number, name: ByteName): number {
  const scratch = core.fds.of(core.scratch as RealDir);
  const away = core.scratchName();
  const status = scratch < 0 ? scratch : sys.renameat2(into, name, scratch, away, 0);
  if (status >= 0) purgeDirectory(core, scratch, away);
  return status;
}

/**
 * Puts a whiteout in an object's place in one step, so that what lies below never shows. A directory cannot be renamed
 * over: it changes places with the whiteout and is cleared in the scratch directory.
 */
function replaceByWhiteout(core: Core, target: { into: number; name: ByteName; exchange: boolean }): number {
  const scratch = core.fds.of(core.scratch as RealDir);
  const name = core.scratchName();
  let status = scratch < 0 ? scratch : makeWhiteout(scratch, name);
  if (status < 0) return status;
  status = sys.renameat2(scratch, name, target.into, target.name, target.exchange ? RENAME.EXCHANGE : 0);
  if (status < 0) sys.unlinkat(scratch, name, 0);
  else if (target.exchange) purgeDirectory(core, scratch, name);
  return status;
}

/** The name is gone. A node without any name left lives by its descriptor until the kernel forgets it. */
export function forgetName(core: Core, node: Node, gone: Place & { kept: number }): void {
  const path = pathAt(gone.parent, gone.name);
  node.version++;
  dropLastIndexed(core, node);
  if (core.nodes.detach(node, gone.parent, gone.name)) {
    sys.close(gone.kept);
    if (node.dirs === undefined && node.inUpper && node.indexed === undefined) {
      node.dir = node.parent?.upperDir;
      node.realName = node.name;
    }
    return;
  }
  core.kept.drop(node);
  node.lastPath = path;
  if (node.fd >= 0) sys.close(node.fd);
  node.fd = gone.kept;
  core.journal?.nameless(node);
  for (const dir of node.dirs ?? []) core.fds.drop(dir);
  core.nodes.letGo(node);
}
