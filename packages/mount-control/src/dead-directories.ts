/**
 * Removes the run directories of mounts and services whose processes were killed. A directory is dead if nobody listens at its sockets: the
 * kernel tells that of processes in every namespace. It may stay longer than its mount, but never goes before it.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  type Stats,
  statfsSync,
  unlinkSync,
} from "node:fs";
import { open, statfs } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { LOCK, native, toBytes } from "@sluice/native";
import { AT, Attr, Errno, O, S } from "@sluice/vfs";
import { codeOf } from "@sluice/runtime/cli";
import { readMountTable } from "./mount-table.js";
import {
  CONTROL_SOCKET,
  DECISION_SOCKET,
  DECISION_UIDS,
  directoryNameOf,
  isOfUser,
  isOwnDirectory,
  KEEPER_SOCKET,
  KEPT_POLICY,
  NEXT_KEPT_POLICY,
  removeNamed,
  runBases,
  SHARED_KEEPER_SOCKET,
} from "./run-directory.js";

const NAME = /^[0-9a-f]{16}$/;
const SOCKETS: readonly string[] = [CONTROL_SOCKET, DECISION_SOCKET, KEEPER_SOCKET, SHARED_KEEPER_SOCKET];
/** Files without a process. */
const KEPT: readonly string[] = [KEPT_POLICY, NEXT_KEPT_POLICY];
/** A process that starts has sockets sooner than that. */
const YOUNG_MS = 60_000;
/** No mount waits for it, and a short one ends before. */
const CLEAR_AFTER_MS = 2_000;
/** ext4, XFS, Btrfs, tmpfs and overlayfs. On others, sockets of another machine look as if nobody listened. */
const LOCAL_FILE_SYSTEMS: readonly number[] = [0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630];

const attr = new Attr();

const isYoung = ({ mtimeMs }: Stats): boolean => Date.now() - mtimeMs < YOUNG_MS;
const isSame = (one: Stats, other: Stats): boolean => one.dev === other.dev && one.ino === other.ino && one.mtimeMs === other.mtimeMs;

/**
 * All of them are stream sockets. The kernel refuses a connection of another type (EPROTOTYPE) unless nobody has the socket, so no process
 * is disturbed (net/unix/af_unix.c unix_find_bsd).
 */
function isRefused(socket: string): boolean {
  const fd = native.seqpacketConnect(toBytes(socket));
  if (fd >= 0) native.close(fd);
  return fd === -Errno.ECONNREFUSED || fd === -Errno.ENOENT;
}

/**
 * The user may put anything there, and replace it at any moment: sockets alone count, by descriptors that no path leads elsewhere. No file
 * system of the user is asked.
 */
function isDeadOfUser(directoryFd: number): boolean {
  for (const name of SOCKETS) {
    const fd = native.openat(directoryFd, name, O.PATH | O.NOFOLLOW | O.CLOEXEC, 0);
    if (fd < 0) continue;
    try {
      const found = native.statx(fd, "", AT.EMPTY_PATH | AT.STATX_DONT_SYNC, attr.words) === 0;
      const isSocket = found && (attr.mode & S.IFMT) === S.IFSOCK;
      if (isSocket && !isRefused(`/proc/self/fd/${fd}`)) return false;
    } finally {
      native.close(fd);
    }
  }
  return true;
}

/**
 * Such as in the directory of a session. The place may be beneath a mount of this process, whose event loop would wait for itself: a thread of
 * the pool goes there.
 */
async function isRefusedElsewhere(socket: string): Promise<boolean> {
  // Nobody knows the directory that it was relative to.
  if (!isAbsolute(socket)) return false;
  try {
    const found = await open(socket, O.PATH | O.NOFOLLOW);
    try {
      const path = `/proc/self/fd/${found.fd}`;
      const isLocal = LOCAL_FILE_SYSTEMS.includes((await statfs(path)).type);
      return isLocal && (await found.stat()).isSocket() && isRefused(path);
    } finally {
      await found.close();
    }
  } catch (error) {
    return ["ENOENT", "ENOTDIR"].includes(codeOf(error));
  }
}

async function isDead(directory: string): Promise<boolean> {
  for (const name of readdirSync(directory)) {
    if (KEPT.includes(name)) continue;
    const path = join(directory, name);
    const stat = lstatSync(path);
    const target = stat.isSymbolicLink() ? readlinkSync(path) : path;
    if (!SOCKETS.includes(name) || !(stat.isSocket() || stat.isSymbolicLink())) return false;
    const isNear = stat.isSocket() || dirname(dirname(target)) === dirname(directory);
    if (!(await (isNear ? isRefused(target) : isRefusedElsewhere(target)))) return false;
  }
  return true;
}

async function removeIfDead(directory: string): Promise<void> {
  const seen = lstatSync(directory);
  const isOurs = isOwnDirectory(seen) || (seen.isDirectory() && isOfUser(seen));
  if (!isOurs || isYoung(seen)) return;
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    if (!(await (isOfUser(seen) ? isDeadOfUser(fd) : isDead(directory)))) return;
    // It may be used again by now.
    removeNamed(directory, () => isSame(fstatSync(fd), seen) && isSame(lstatSync(directory), seen));
  } finally {
    closeSync(fd);
  }
}

/** A process that was killed left it. Whoever claims a uid has the lock of its file, and takes none without a name. */
function removeIfUnclaimed(path: string): void {
  const fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    if (native.flock(fd, LOCK.EX | LOCK.NB) === 0 && fstatSync(fd).nlink > 0) unlinkSync(path);
  } finally {
    closeSync(fd);
  }
}

function removeUnclaimed(directory: string): void {
  if (!isOwnDirectory(lstatSync(directory))) return;
  for (const uid of readdirSync(directory)) removeIfUnclaimed(join(directory, uid));
}

async function clear(base: string): Promise<void> {
  if (!isOwnDirectory(lstatSync(base)) || !LOCAL_FILE_SYSTEMS.includes(statfsSync(base).type)) return;
  const mounted = new Set(
    readMountTable()
      .filter(({ type }) => type.startsWith("fuse"))
      .map(({ mountpoint }) => directoryNameOf(mountpoint)),
  );
  for (const name of readdirSync(base)) {
    if (!NAME.test(name) || mounted.has(name)) continue;
    try {
      await removeIfDead(join(base, name));
    } catch {
      // It went meanwhile, or cannot be removed, and hinders nobody.
    }
  }
  removeUnclaimed(join(base, DECISION_UIDS));
}

/** Of the caller's user, for root also of the users for whom it holds mounts; of no mount that the mount table has. Never rejects. */
export async function removeDeadDirectories(bases = runBases()): Promise<void> {
  // A base that is not there, or is somebody else's, has nothing of ours.
  for (const base of bases) await clear(base).catch(() => undefined);
}

let isDue = true;

/** For a process that serves: once, some seconds later. */
export function removeDeadDirectoriesLater(): void {
  if (!isDue) return;
  isDue = false;
  setTimeout(() => void removeDeadDirectories(), CLEAR_AFTER_MS).unref();
}
