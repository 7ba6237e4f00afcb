/**
 * The directory of all sessions, $XDG_STATE_HOME/sluice/sessions, that of their layers beside it, and directories in both. Everything in there decides what a person takes
 * over into their files. So each directory from `sluice` on belongs to the caller, is closed to everybody else, and is reached through no
 * symbolic link.
 */
import { existsSync, realpathSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { openTree } from "@sluice/layer-tools/tree";
import { native, openBeneath, toBytes } from "@sluice/native";
import { codeOf, failed, makeDirectories, unfit, wrong } from "@sluice/runtime/cli";
import { AT, Attr, Errno, errnoName, O } from "@sluice/vfs";
import { homeDirectory } from "./home-directories.js";

const PRIVATE = 0o700;
const FOR_OTHERS = 0o077;

/** A directory that is open. */
export interface Place {
  readonly fd: number;
  /** For messages, and for programs that take no descriptor. */
  readonly path: string;
}

/** On a disk that takes no change, or that has no rename which replaces nothing, such as NFS. Otherwise that of the caller. */
export function remedyFor(status: number, remedy: string): string {
  if (status === -Errno.EROFS) return "mount its disk for writing";
  return status === -Errno.EINVAL ? "set XDG_STATE_HOME to a directory on a local disk" : remedy;
}

/** The kernel closes a directory in it to its owner, too: "work/work" has mode 000. */
export const REMOVE_SESSION = "remove the directory of the session: chmod -R u+rwX DIRECTORY && rm -r DIRECTORY";

const GONE: readonly number[] = [-Errno.ENOENT, -Errno.ENOTDIR, -Errno.ELOOP];

/** Only what is gone may be removed: a disk that fails, or a process with too many files, can be mended. */
export const remedyIfGone = (status: number, remedy: string): string =>
  GONE.includes(status) ? remedy : "check its disk and its permissions";

export function below({ fd, path }: Place, name: string): Place {
  return { fd, path: `${path}/${name}` };
}

/** A relative path of the environment counts as missing, as the XDG specification has it. @throws CliError if there is none */
function stateHome(): string {
  const given = process.env["XDG_STATE_HOME"] ?? "";
  if (isAbsolute(given)) return given;
  const home = homeDirectory();
  if (home === undefined)
    throw wrong("HOME", "this user has no home directory", "set HOME or XDG_STATE_HOME to the absolute path of a directory of yours");
  return join(home, ".local/state");
}

/** A file to lock. To look at sessions is possible on a disk that is mounted read-only. @returns a descriptor, or the negative errno */
export function openLock(directoryFd: number, name: string): number {
  const fd = openBeneath(directoryFd, name, O.RDWR | O.CREAT, 0o600);
  if (fd !== -Errno.EROFS) return fd;
  const there = openBeneath(directoryFd, name, O.RDONLY | O.NONBLOCK, 0);
  return there < 0 ? fd : there;
}

/** @throws CliError if another user could have made the directory, or can look or write into it */
function checkPrivate({ fd, path }: Place): void {
  const attr = new Attr();
  const status = native.statx(fd, "", AT.EMPTY_PATH, attr.words);
  if (status < 0) throw failed(path, `the directory cannot be read (${errnoName(-status)})`, "check its disk");
  if (attr.uid !== process.geteuid?.())
    throw unfit(path, `the directory belongs to the user with the uid ${attr.uid} (EPERM)`, "run the command as that user");
  if ((attr.mode & FOR_OTHERS) !== 0)
    throw unfit(
      path,
      `other users can reach into the directory (mode 0${(attr.mode & 0o7777).toString(8)}, EPERM)`,
      "look at its content, then chmod 700 it",
    );
}

/** Opens a directory of the caller alone. @returns undefined if it does not exist. @throws CliError */
export function openPrivate(at: Place, name: string): Place | undefined {
  const { path } = below(at, name);
  const fd = openBeneath(at.fd, toBytes(name), O.RDONLY | O.DIRECTORY, 0);
  if (fd === -Errno.ENOENT) return undefined;
  if (fd === -Errno.ELOOP || fd === -Errno.ENOTDIR)
    throw unfit(path, `it is a symbolic link, or not a directory (${errnoName(-fd)})`, "move it out of the way");
  if (fd < 0) throw failed(path, `the directory cannot be opened (${errnoName(-fd)})`, "check its owner and mode");
  const place = { fd, path };
  try {
    checkPrivate(place);
    return place;
  } catch (error) {
    native.close(fd);
    throw error;
  }
}

/** Creates a directory of the caller alone. @returns whether the name was free. @throws CliError */
export function makePrivate(at: Place, name: string): boolean {
  const status = native.mkdirat(at.fd, toBytes(name), PRIVATE);
  if (status === -Errno.EEXIST) return false;
  if (status < 0) {
    const hasRoom = status !== -Errno.ENOSPC && status !== -Errno.EDQUOT;
    const remedy = hasRoom ? "set XDG_STATE_HOME to a directory of yours" : "make room, or set XDG_STATE_HOME";
    throw failed(below(at, name).path, `the directory cannot be created (${errnoName(-status)})`, remedyFor(status, remedy));
  }
  return true;
}

/** @returns undefined if there is none, and none is to be made. @throws CliError */
function descend(at: Place, name: string, make: boolean): Place | undefined {
  if (make) makePrivate(at, name);
  return openPrivate(at, name);
}

/** The directory of all state of Sluice, by its real path: a program must not see it from within a session. */
export function statePath(): string {
  const home = stateHome();
  return join(existsSync(home) ? realpathSync.native(home) : home, "sluice");
}

/** The directory `sluice` stays open from its first use on: a command opens what is in it a dozen times. `home`: as `stateHome`. */
let kept: { readonly home: string; readonly sluice: Place } | undefined;

/** The one that was opened before, if it is still found by its name. It closes another one. */
function keptSluice(home: string): Place | undefined {
  if (kept === undefined) return undefined;
  const { fd, path } = kept.sluice;
  const [found, own] = [new Attr(), new Attr()];
  const isFound = native.statx(AT.FDCWD, toBytes(path), AT.SYMLINK_NOFOLLOW, found.words) >= 0;
  const isOpen = native.statx(fd, "", AT.EMPTY_PATH, own.words) >= 0;
  const isSame = found.ino === own.ino && found.devMajor === own.devMajor && found.devMinor === own.devMinor;
  if (kept.home === home && isFound && isOpen && isSame) return kept.sluice;
  native.close(fd);
  kept = undefined;
  return undefined;
}

/** @returns undefined if there is none, and none is to be made. It stays open. @throws CliError */
function openSluice(home: string, make: boolean): Place | undefined {
  const known = keptSluice(home);
  if (known !== undefined) {
    checkPrivate(known);
    return known;
  }
  try {
    makeDirectories(home, PRIVATE);
  } catch (error) {
    throw failed(home, `the directory for sessions cannot be created (${codeOf(error)})`, "set XDG_STATE_HOME to a directory of yours");
  }
  const { fd } = openTree(home, false);
  try {
    const sluice = descend({ fd, path: dirname(statePath()) }, "sluice", make);
    kept = sluice === undefined ? undefined : { home, sluice };
    return sluice;
  } finally {
    native.close(fd);
  }
}

/**
 * The directory of all sessions, of the layers that they froze, or of the files that applies restored. The caller closes it.
 * @returns undefined if there is none, and none is to be made. @throws CliError
 */
export function openState(name: "sessions" | "layers" | "restored", make: boolean): Place | undefined {
  const home = stateHome();
  if (!make && !existsSync(home)) return undefined;
  const sluice = openSluice(home, make);
  return sluice === undefined ? undefined : descend(sluice, name, make);
}
