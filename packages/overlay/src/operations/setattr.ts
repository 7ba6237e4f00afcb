/** SETATTR: copy-up, then size, owner, mode and times on the upper object. */
import {
  AT,
  type AttrOut,
  type CallContext,
  Errno,
  type FileOffset,
  type NodeId,
  O,
  S,
  type SetAttr,
  type Status,
  UTIME,
} from "@sluice/vfs";
import { copyUp } from "../copy-up/copy-up.js";
import type { Core } from "../core.js";
import { authorizeThen, governsAny } from "../gate/authorize.js";
import type { Access, WatchedIo } from "../gate/gate.js";
import { clearSuid } from "../io/data.js";
import type { OpenFile } from "../io/handle-table.js";
import { change as changeSize } from "../io/watched-io.js";
import { giveNewId, needsNewId } from "../io/route-open.js";
import { sys } from "../layer/host-layer.js";
import type { Node } from "../node/node.js";
import { aim, openNode } from "../node/open-node.js";
import { getattr } from "./getattr.js";
import { intentOn } from "./remove.js";

export function setattr(core: Core, call: CallContext, request: { id: NodeId; set: SetAttr }, out: AttrOut): Status {
  const { id, set } = request;
  const node = core.nodes.get(id);
  if (node === undefined) return Errno.ESTALE;
  if (core.upper === undefined) return Errno.EROFS;
  const access = governedAccess(core, set);
  // The engine's object is used again for the next request; what waits keeps its own.
  const kept = { ...set };
  const act = (): Status => afterCopyUp(core, { call, id, node, set: kept }, out);
  if (access === undefined) return act();
  return authorizeThen(core, call, intentOn(core, node, { operation: "setattr", accesses: [access] }), act);
}

/** A size given by path is an access of its own: an open was never asked about. */
function governedAccess(core: Core, set: SetAttr): Access | undefined {
  if (set.size !== undefined) return set.handle === undefined && governsAny(core.gate, "truncate") ? "truncate" : undefined;
  return governsAny(core.gate, "metadata") ? "metadata" : undefined;
}

interface Change {
  call: CallContext;
  id: NodeId;
  node: Node;
  set: SetAttr;
}

function afterCopyUp(core: Core, change: Change, out: AttrOut): Status {
  const truncate = change.set.size !== undefined && BigInt(change.set.size) === 0n;
  const copied = copyUp(core, change.node, { call: change.call, truncate, metadataOnly: change.set.size === undefined });
  if (typeof copied === "number") return copied !== 0 ? copied : apply(core, change, out);
  return copied.then((status) => (status !== 0 ? status : apply(core, change, out)));
}

function apply(core: Core, change: Change, out: AttrOut): Status {
  const { node, set } = change;
  if (set.size === undefined) return applyRest(core, change, out);
  if (!node.isRegular) return node.isDirectory ? Errno.EISDIR : Errno.EINVAL;
  if (set.handle === undefined && core.nodes.former(change.id) === undefined && needsNewId(node)) {
    giveNewId(core, node);
    return Errno.ESTALE;
  }
  const status = setSize(core, change, set.size);
  if (typeof status !== "number") return status.then((late) => (late !== 0 ? late : applyRest(core, change, out)));
  return status !== 0 ? status : applyRest(core, change, out);
}

function setSize(core: Core, change: Change, size: FileOffset): Status {
  const { set, call } = change;
  const file = set.handle === undefined ? undefined : core.handles.file(set.handle);
  const io: WatchedIo = { kind: "truncate", offset: BigInt(size), length: 0 };
  return changeSize(file, call, io, () => truncateTo(core, change, { size, file }));
}

function truncateTo(core: Core, change: Change, to: { size: FileOffset; file: OpenFile | undefined }): number {
  const { node, set, call } = change;
  const { size, file } = to;
  const own = file?.write === true ? -1 : openNode(core, node, O.RDWR);
  const fd = file?.write === true ? file.fd : own;
  if (fd < 0) return -fd;
  if (set.killSuidgid) clearSuid(fd, call);
  const status = sys.ftruncate(fd, size);
  if (own >= 0) sys.close(own);
  return -status || 0;
}

function applyRest(core: Core, change: Change, out: AttrOut): number {
  const { node, set } = change;
  const status = setOwner(core, change) || setMode(core, node, set) || setTimes(core, node, set);
  return status !== 0 ? status : getattr(core, change.id, out);
}

function setOwner(core: Core, change: Change): number {
  const { node, set, call } = change;
  const given = set.uid !== undefined || set.gid !== undefined;
  // Of root's the host's own chown takes what is to be taken: setgid without group execution stays with who has CAP_FSETID.
  const kills = set.killSuidgid || (isEmpty(set) && !node.isDirectory && call.uid !== 0);
  if (!given && kills && set.size === undefined && set.mode === undefined) {
    const status = killSuid(core, call, node);
    if (status !== 0) return status;
  }
  if (!given && !isEmpty(set)) return 0;
  // By the group that the file had; the host goes by the daemon, which may keep setgid.
  if (given && set.killSuidgid && call.uid !== 0 && !node.isDirectory) {
    const status = killSuid(core, call, node);
    if (status !== 0) return status;
  }
  const at = aim(core, node);
  return -sys.fchownat(at.fd, at.name, set.uid ?? -1, set.gid ?? -1, AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH) || 0;
}

/** chown(2) of neither owner nor group arrives as a request for nothing, and yet takes suid and moves the change time. */
function isEmpty(set: SetAttr): boolean {
  return set.mode === undefined && set.size === undefined && set.atime === undefined && set.mtime === undefined;
}

function killSuid(core: Core, call: CallContext, node: Node): number {
  const fd = openNode(core, node, O.PATH | O.NOFOLLOW);
  if (fd < 0) return -fd;
  clearSuid(fd, call);
  sys.close(fd);
  return 0;
}

function setMode(core: Core, node: Node, set: SetAttr): number {
  if (set.mode === undefined || node.kind === S.IFLNK) return 0;
  const at = aim(core, node);
  return -sys.fchmodat(at.fd, at.name, set.mode & 0o7777, at.name === "" ? AT.EMPTY_PATH : AT.SYMLINK_NOFOLLOW) || 0;
}

function setTimes(core: Core, node: Node, set: SetAttr): number {
  if (set.atime === undefined && set.mtime === undefined) return 0;
  const at = aim(core, node);
  const times = {
    atimeSec: set.atime?.sec ?? 0,
    atimeNsec: set.atime?.nsec ?? UTIME.OMIT,
    mtimeSec: set.mtime?.sec ?? 0,
    mtimeNsec: set.mtime?.nsec ?? UTIME.OMIT,
  };
  return -sys.utimensat(at.fd, at.name, times, at.name === "" ? AT.EMPTY_PATH : AT.SYMLINK_NOFOLLOW) || 0;
}
