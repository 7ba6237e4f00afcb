/**
 * The common part of everything that makes a name: MKNOD, MKDIR, SYMLINK, CREATE, LINK.
 *
 * The object is made straight in the upper directory, as the caller (so that the host applies owner, umask, setgid and
 * default ACL as it does for everybody). Only where a whiteout is in the way it is made aside and renamed over it, in a
 * staging directory that passes on what the real parent would.
 */
import { AT, type ByteName, type CallContext, Errno, NAME_MAX, O, RENAME, S } from "@sluice/vfs";
import { copyUpDirectory } from "../copy-up/copy-up-directory.js";
import type { Core } from "../core.js";
import { openName, statFd, statName, sys } from "../layer/host-layer.js";
import type { RealDir } from "../layer/real-dir.js";
import { writeOpaque } from "../marks/directory-marks.js";
import { isForeignMark } from "../marks/foreign-marks.js";
import { isWhiteout } from "../marks/whiteout.js";
import type { Node } from "../node/node.js";

export interface Creation {
  call: CallContext;
  parent: Node;
  name: ByteName;
  umask: number;
  directory: boolean;
  /** The link of an existing object: nothing is made, so nobody's credentials are needed. */
  asDaemon?: boolean;
  /** Makes the object under a name of a directory: a non-negative result or the negative errno. */
  make(dirFd: number, name: ByteName): number;
}

/** What `make` returned, or the negative errno. */
export function createObject(core: Core, creation: Creation): number {
  const { parent, name } = creation;
  if (name.length > NAME_MAX) return -Errno.ENAMETOOLONG;
  if (core.marks.foreign && isForeignMark(name)) return -Errno.EINVAL;
  const copied = copyUpDirectory(core, parent);
  if (copied !== 0) return -copied;
  const upperDir = parent.upperDir as RealDir;
  const dirFd = core.fds.of(upperDir);
  if (dirFd < 0) return dirFd;
  const made = makeAs(creation, dirFd, name);
  if (made !== -Errno.EEXIST) {
    // Nothing below can show through today, but a name added to a lower layer later must not either (as overlayfs does).
    if (made >= 0 && creation.directory && parent.isMerged) writeOpaque(core.marks, dirFd, name);
    return made;
  }
  const inWay = core.scratchAttr;
  if (statName(dirFd, name, inWay) < 0 || !isWhiteout(inWay)) return -Errno.EEXIST;
  return makeOverWhiteout(core, creation, dirFd);
}

function makeAs(creation: Creation, dirFd: number, name: ByteName): number {
  if (creation.asDaemon === true) return creation.make(dirFd, name);
  const { call } = creation;
  const status = sys.asCaller(call.uid, call.gid, creation.umask, call.groups);
  if (status < 0) return status;
  try {
    return creation.make(dirFd, name);
  } finally {
    sys.asDaemon();
  }
}

function makeOverWhiteout(core: Core, creation: Creation, dirFd: number): number {
  const stage = openStage(core, dirFd);
  if (stage.fd < 0) return stage.fd;
  const name = "new";
  const made = makeAs(creation, stage.fd, name);
  let status = made;
  if (made >= 0) {
    if (creation.directory) writeOpaque(core.marks, stage.fd, name);
    // A directory cannot be renamed over a device: they change places, and the whiteout goes with the stage.
    status = sys.renameat2(stage.fd, name, dirFd, creation.name, creation.directory ? RENAME.EXCHANGE : 0);
    if (status < 0) sys.unlinkat(stage.fd, name, creation.directory ? AT.REMOVEDIR : 0);
    else if (creation.directory) sys.unlinkat(stage.fd, name, 0);
  }
  closeStage(core, stage);
  if (status < 0 && made > 0) sys.close(made);
  return status < 0 ? status : made;
}

interface Stage {
  fd: number;
  name: string;
}

const acl = Buffer.alloc(65_536);
const DEFAULT_ACL = "system.posix_acl_default";

/** A directory in the scratch area with the parent's group, setgid bit and default ACL. */
function openStage(core: Core, dirFd: number): Stage {
  const name = core.scratchName();
  const scratch = core.fds.of(core.scratch as RealDir);
  const attr = core.scratchAttr;
  let status = scratch < 0 ? scratch : statFd(dirFd, attr);
  if (status >= 0) status = sys.mkdirat(scratch, name, 0o700);
  if (status < 0) return { fd: status, name };
  const fd = openName(scratch, name, O.RDONLY | O.DIRECTORY, 0);
  if (fd < 0) return { fd, name };
  sys.fchownat(fd, "", -1, attr.gid, AT.EMPTY_PATH);
  sys.fchmodat(fd, "", 0o700 | (attr.mode & S.ISGID), AT.EMPTY_PATH);
  const length = sys.getxattrat(dirFd, "", DEFAULT_ACL, acl);
  if (length > 0) sys.setxattrat(fd, "", DEFAULT_ACL, acl.subarray(0, length), 0);
  return { fd, name };
}

function closeStage(core: Core, stage: Stage): void {
  sys.close(stage.fd);
  sys.unlinkat(core.fds.of(core.scratch as RealDir), stage.name, AT.REMOVEDIR);
}
