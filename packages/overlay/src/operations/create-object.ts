/**
 * The common part of everything that makes a name: MKNOD, MKDIR, SYMLINK, CREATE, LINK.
 *
 * The object is made straight in the upper directory, as the caller (so that the host applies owner, umask, setgid and
 * default ACL as it does for everybody). Only where a whiteout is in the way, or where a security module wants a label on it
 * from the beginning, it is made aside and renamed into place, in a staging directory that passes on the same attributes as the real parent.
 */
import { AT, type Attr, type ByteName, type CallContext, DEFAULT_ACL, Errno, NAME_MAX, O, RENAME, S } from "@sluice/vfs";
import { copyUpDirectory } from "../copy-up/copy-up-directory.js";
import type { CopyUpContext } from "../copy-up/copy-up-context.js";
import { intendToMake } from "../journal/intents.js";
import { closeFd, effects, openName, readXattr, statFd, statName, sys } from "../layer/system-calls.js";
import type { Permit } from "../layer/permit.js";
import type { RealDir } from "../layer/host-layer.js";
import { hideBelow, writeOpaque } from "../marks/directory-marks.js";
import { isForeignMark } from "../marks/foreign-marks.js";
import { isAnyWhiteout } from "../marks/whiteout.js";
import type { Node } from "../node/node.js";
import { mayAdd } from "../node/protection.js";

export interface Creation {
  call: CallContext;
  parent: Node;
  name: ByteName;
  umask: number;
  directory: boolean;
  /** The link of an existing object: nothing is made, so nobody's credentials are needed. */
  asDaemon?: boolean;
  /** Gets the attributes of the new object. */
  attr: Attr;
  /** Makes the object under a name of a directory: a non-negative result or the negative errno. */
  make(permit: Permit, dirFd: number, name: ByteName): number;
}

/** Gives the result of `make`, or the negative errno: nothing is made then. */
export function createObject(core: CopyUpContext, permit: Permit, creation: Creation): number {
  const { parent, name } = creation;
  if (name.length > NAME_MAX) return -Errno.ENAMETOOLONG;
  if (core.marks.foreign && isForeignMark(name)) return -Errno.EINVAL;
  const copied = mayAdd(core, parent) || copyUpDirectory(core, parent);
  if (copied !== 0) return -copied;
  const upperDir = parent.upperDir as RealDir;
  const dirFd = core.fds.of(upperDir);
  if (dirFd < 0) return dirFd;
  const taken = creation.asDaemon === true ? 0 : intendToMake(core, creation.call, { parent, name, dirFd });
  if (taken < 0) return taken;
  const labelled = creation.asDaemon !== true && creation.call.labels !== undefined;
  const made = labelled ? -Errno.EEXIST : makeAs(permit, creation, { dirFd, name });
  if (made !== -Errno.EEXIST) {
    if (made >= 0 && creation.directory && hidesLaterNames(core, parent)) writeOpaque(core.marks, dirFd, name);
    return made < 0 ? made : lookAtMade(permit, creation, { dirFd, name }, made);
  }
  const inWay = core.scratchAttr;
  const there = statName(dirFd, name, inWay);
  if (labelled && there === -Errno.ENOENT) return makeAside(core, permit, creation, { dirFd, overWhiteout: false });
  if (there < 0) return there === -Errno.ENOENT ? -Errno.EEXIST : there;
  if (!isAnyWhiteout(core.marks, { dirFd, name }, inWay)) return -Errno.EEXIST;
  return makeAside(core, permit, creation, { dirFd, overWhiteout: true });
}

/** An object that cannot be looked at goes again, since the caller is told that it was not made. */
function lookAtMade(permit: Permit, { attr, directory }: Creation, at: { dirFd: number; name: ByteName }, made: number): number {
  const status = statName(at.dirFd, at.name, attr);
  if (status >= 0) return made;
  effects(permit).unlinkat(at.dirFd, at.name, directory ? AT.REMOVEDIR : 0);
  if (made > 0) closeFd(made);
  return status;
}

/**
 * Whether a new directory is opaque though nothing lies below it. A name added to a lower layer later must not show through, as with
 * overlayfs, which sets no mark either if others may change its layers (fs/overlayfs/dir.c ovl_create_upper, ovl_allow_offline_changes):
 * the directory would hide theirs of the same name.
 */
function hidesLaterNames({ config }: CopyUpContext, parent: Node): boolean {
  return parent.isMerged && !config.sharedLower;
}

function makeAs(permit: Permit, creation: Creation, at: { dirFd: number; name: ByteName }): number {
  if (creation.asDaemon === true) return creation.make(permit, at.dirFd, at.name);
  const { call } = creation;
  const status = sys.asCaller(call.uid, call.gid, creation.umask, call.groups);
  if (status < 0) return status;
  try {
    return creation.make(permit, at.dirFd, at.name);
  } finally {
    sys.asDaemon();
  }
}

interface Destination {
  dirFd: number;
  overWhiteout: boolean;
}

function makeAside(core: CopyUpContext, permit: Permit, creation: Creation, destination: Destination): number {
  const stage = openStage(core, permit, destination.dirFd);
  if (stage.fd < 0) return stage.fd;
  const name = "new";
  const made = makeAs(permit, creation, { dirFd: stage.fd, name });
  let status = made;
  if (made >= 0) {
    status = hideLayersBelow(core, creation, { fd: stage.fd, name, overWhiteout: destination.overWhiteout });
    if (status >= 0) status = writeLabels(permit, creation.call, { dirFd: stage.fd, name });
    // Before it is in place: the whiteout could not be had back.
    if (status >= 0) status = statName(stage.fd, name, creation.attr);
    if (status >= 0) status = putInPlace(permit, creation, destination, { fd: stage.fd, name });
    if (status < 0) effects(permit).unlinkat(stage.fd, name, creation.directory ? AT.REMOVEDIR : 0);
  }
  closeStage(core, permit, stage);
  // The move has changed its time of change.
  if (status >= 0) statName(destination.dirFd, creation.name, creation.attr);
  if (status < 0 && made > 0) closeFd(made);
  return status < 0 ? status : made;
}

/** Without a mark, a directory over a whiteout would show the hidden lower entries. Elsewhere the mark is for names that come later. */
function hideLayersBelow(core: CopyUpContext, creation: Creation, at: { fd: number; name: string; overWhiteout: boolean }): number {
  if (!creation.directory) return 0;
  if (at.overWhiteout) return hideBelow(core.marks, at.fd, at.name);
  if (hidesLaterNames(core, creation.parent)) writeOpaque(core.marks, at.fd, at.name);
  return 0;
}

function putInPlace(permit: Permit, creation: Creation, { dirFd, overWhiteout }: Destination, from: { fd: number; name: string }): number {
  const { renameat2, unlinkat } = effects(permit);
  if (!overWhiteout) return renameat2(from.fd, from.name, dirFd, creation.name, RENAME.NOREPLACE);
  if (!creation.directory) return renameat2(from.fd, from.name, dirFd, creation.name, 0);
  // A directory cannot be renamed over a device: they change places, and the whiteout goes with the stage.
  const status = renameat2(from.fd, from.name, dirFd, creation.name, RENAME.EXCHANGE);
  if (status >= 0) unlinkat(from.fd, from.name, 0);
  return status;
}

/** Writes the labels that a security module wants on a new object (name "": the descriptor's own), if the file system can hold them. */
export function writeLabels(permit: Permit, call: CallContext, at: { dirFd: number; name: string }): number {
  for (const label of call.labels ?? []) {
    const status = effects(permit).setxattrat(at.dirFd, at.name, label.name, label.value, 0);
    if (status < 0 && status !== -Errno.EOPNOTSUPP) return status;
  }
  return 0;
}

interface Stage {
  fd: number;
  name: string;
}

const acl = Buffer.alloc(65_536);

/** A directory in the scratch area with the parent's group, setgid bit and default ACL. */
function openStage(core: CopyUpContext, permit: Permit, dirFd: number): Stage {
  const change = effects(permit);
  const name = core.scratchName();
  const scratch = core.fds.of(core.scratch as RealDir);
  const attr = core.scratchAttr;
  let status = scratch < 0 ? scratch : statFd(dirFd, attr);
  if (status >= 0) status = change.mkdirat(scratch, name, 0o700);
  if (status < 0) return { fd: status, name };
  const fd = openName(scratch, name, O.RDONLY | O.DIRECTORY, 0);
  status = fd < 0 ? fd : passOn(change, { dirFd, attr, fd });
  if (status >= 0) return { fd, name };
  if (fd >= 0) closeFd(fd);
  change.unlinkat(scratch, name, AT.REMOVEDIR);
  return { fd: status, name };
}

/**
 * Gives the stage what new objects in the directory get from it. Without the default ACL they might be open to more users than there, so
 * nothing is made if the stage cannot have it. 0 or a negative errno.
 */
function passOn(change: ReturnType<typeof effects>, { dirFd, attr, fd }: { dirFd: number; attr: Attr; fd: number }): number {
  const group = change.fchownat(fd, "", -1, attr.gid, AT.EMPTY_PATH);
  // A server without privilege may not give the stage a group that is not its own.
  let status = group === -Errno.EPERM ? 0 : group;
  if (status >= 0) status = change.fchmodat(fd, "", 0o700 | (attr.mode & S.ISGID), AT.EMPTY_PATH);
  if (status < 0) return status;
  const length = readXattr(dirFd, "", DEFAULT_ACL, acl);
  if (length < 0) return length === -Errno.ENODATA || length === -Errno.EOPNOTSUPP ? 0 : length;
  return length === 0 ? 0 : change.setxattrat(fd, "", DEFAULT_ACL, acl.subarray(0, length), 0);
}

function closeStage(core: CopyUpContext, permit: Permit, stage: Stage): void {
  closeFd(stage.fd);
  effects(permit).unlinkat(core.fds.of(core.scratch as RealDir), stage.name, AT.REMOVEDIR);
}
