/**
 * The directory `work` in the workdir, where overlayfs has it too: emptied of the leftovers of a crash, and locked as long as this
 * overlay lives, so that no second one uses the same upper layer. Holds the mark of a volatile mount, which outlives it.
 */
import { ACCESS_ACL, AT, Attr, DEFAULT_ACL, Errno, FsError, O } from "@sluice/vfs";
import type { LayerSpec } from "./contract/config.js";
import { parseDirents } from "./layer/dirents.js";
import { type HostLayer, RealDir } from "./layer/host-layer.js";
import { closeFd, emptyDirectory, openName, openPathOf, reopen, restoreOpened, statFd, sys, upkeep } from "./layer/system-calls.js";
import { makeWhiteout } from "./marks/whiteout.js";
import { readHandles } from "./restore/persisted-handles.js";

/** flock(2): exclusive, and do not wait. */
const LOCK_EX_NB = 6;
const INCOMPAT = "incompat";
const PROBE = "#0";
const FULL: readonly number[] = [Errno.ENOSPC, Errno.EDQUOT];
const bytes = Buffer.alloc(4096);
const attr = new Attr();

export interface OpenedScratch {
  dir: RealDir;
  /** See restore/persisted-handles.ts. */
  handles: string;
}

/** @throws FsError: EBUSY where another mount has it, EINVAL where an earlier mount left a mark that forbids its use */
export function openScratch(upper: HostLayer, work: LayerSpec, mount: { volatile: boolean; goesOn: boolean }): OpenedScratch {
  const made = upkeep.mkdirat(work.rootFd, "work", 0o700);
  if (made < 0 && made !== -Errno.EEXIST) throw new FsError(-made, `workdir ${work.path}: its scratch directory cannot be made`);
  const fd = openName(work.rootFd, "work", O.RDONLY | O.DIRECTORY, 0);
  if (fd < 0) throw new FsError(-fd, `workdir ${work.path}: its scratch directory cannot be opened`);
  let handles: string;
  try {
    handles = prepare(fd, { upper, work }, mount);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  closeFd(work.rootFd);
  const dir = new RealDir(upper, undefined, "");
  dir.fd = fd;
  return { dir, handles };
}

/** `goesOn`: the same mount, served by another process: its mark is its own, and nothing was lost. Gives what was left of handles. */
function prepare(
  fd: number,
  { upper, work }: { upper: HostLayer; work: LayerSpec },
  { volatile, goesOn }: { volatile: boolean; goesOn: boolean },
): string {
  // A server that takes over follows one that is dead, of which the kernel may still have a thread waiting, with all that it had
  // open. The keeper's claim on the directory keeps other mounts out.
  if (sys.flock(fd, LOCK_EX_NB) < 0 && !goesOn) throw new FsError(Errno.EBUSY, `workdir ${work.path}: in use by another mount`);
  const feature = incompatibleFeature(fd);
  if (feature !== undefined && !(volatile && goesOn && feature === "volatile")) {
    throw new FsError(Errno.EINVAL, `workdir ${work.path}: an earlier mount left work/incompat/${feature} in it`);
  }
  const handles = readHandles(fd);
  restoreModes(fd, upper);
  const purged = emptyDirectory(fd).status;
  if (purged < 0) throw new FsError(-purged, `workdir ${work.path}: cannot be cleared of the leftovers of an earlier mount`);
  if (!goesOn || !isSecured(fd)) secureScratch(fd, work);
  const marked = volatile ? markVolatile(fd) : 0;
  if (marked < 0) throw new FsError(-marked, `workdir ${work.path}: the mark of a volatile mount cannot be made`);
  return handles;
}

/** Of directories that a killed server had open for a copy-up. The directories above may be closed to this process as well. */
function restoreModes(fd: number, upper: HostLayer): void {
  restoreOpened(fd, (path) => {
    let at = reopen(upper.root.fd, O.PATH | O.DIRECTORY);
    for (const name of path === "" ? [] : path.split("/")) {
      const next = at < 0 ? at : openPathOf(at, name);
      if (at >= 0) closeFd(at);
      at = next;
    }
    return at;
  });
}

/**
 * Gives the scratch directory to nobody: objects made in it must not inherit an ACL that the workdir passes on, and only
 * CAP_DAC_OVERRIDE opens it, as overlayfs leaves it (fs/overlayfs/super.c ovl_workdir_create). Without that capability, it stays ours.
 * @throws FsError if the file system holds no whiteouts, such as another overlay.
 */
function secureScratch(fd: number, work: LayerSpec): void {
  for (const acl of [DEFAULT_ACL, ACCESS_ACL]) upkeep.removexattrat(fd, "", acl);
  let made = -Errno.EACCES;
  for (let mode = 0; made === -Errno.EACCES && mode <= 0o700; mode += 0o700) {
    upkeep.fchmodat(fd, "", mode, AT.EMPTY_PATH);
    made = makeWhiteout(fd, PROBE);
  }
  // On a full disk the mount is the place where users remove files.
  if (made < 0 && !FULL.includes(-made))
    throw new FsError(-made, `workdir ${work.path}: its file system takes no whiteouts, as another overlay does not`);
  upkeep.unlinkat(fd, PROBE, 0);
}

/** By a server before this one. Each of many mounts that a process takes over at once would wait for the probe. */
function isSecured(fd: number): boolean {
  return statFd(fd, attr) === 0 && (attr.mode & 0o7777) === 0;
}

/** A directory in work/incompat names a feature without which the upper layer may not be used (fs/overlayfs/readdir.c). */
function incompatibleFeature(scratchFd: number): string | undefined {
  const fd = openName(scratchFd, INCOMPAT, O.RDONLY | O.DIRECTORY, 0);
  // Anything but a directory names no feature, and is cleared away with the rest.
  if ([-Errno.ENOENT, -Errno.ENOTDIR, -Errno.ELOOP].includes(fd)) return undefined;
  if (fd < 0) throw new FsError(-fd, `work/${INCOMPAT} in the workdir cannot be read`);
  const names: string[] = [];
  const length = sys.getdents64(fd, bytes);
  if (length > 0) parseDirents(bytes, length, (name) => void names.push(name));
  closeFd(fd);
  return names.find((name) => name !== "." && name !== "..");
}

/** work/incompat/volatile/dirty: after a crash nobody may take the upper layer for complete. It is for people to remove. */
function markVolatile(scratchFd: number): number {
  let at = scratchFd;
  for (const name of [INCOMPAT, "volatile"]) {
    const made = upkeep.mkdirat(at, name, 0o700);
    const next = made < 0 ? made : openName(at, name, O.RDONLY | O.DIRECTORY, 0);
    if (at !== scratchFd) closeFd(at);
    if (next < 0) return next;
    at = next;
  }
  const dirty = openName(at, "dirty", O.WRONLY | O.CREAT | O.EXCL, 0o600);
  closeFd(at);
  if (dirty >= 0) closeFd(dirty);
  return dirty;
}
