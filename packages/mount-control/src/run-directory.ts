/**
 * The directory of a mount's sockets: private, and named after the mount point, so that commands find it. It is in /run, or below the
 * user's own runtime or temporary directory if the daemon may not write to /run.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  type Stats,
  unlinkSync,
  utimesSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { identityOf, moveAside, removeTree, whileNamed, whileNaming } from "@sluice/native";
import { CliError, codeOf, failed, makeDirectories, shellWord, uidOutside, unfit } from "@sluice/runtime/cli";
import { mountAt, readMountTable } from "./mount-table.js";

/** The names of the sockets in it. */
export const CONTROL_SOCKET = "control.sock";
/** Of the embedded decision service. */
export const DECISION_SOCKET = "decision.sock";
/** sun_path of sockaddr_un, less the ending zero. */
export const MAX_SOCKET_PATH_BYTES = 107;
export const KEEPER_SOCKET = "keeper.sock";
/** The policy in force of the embedded decision service, and its next one while that is written. */
export const KEPT_POLICY = "policy.kept";
export const NEXT_KEPT_POLICY = `${KEPT_POLICY}.next`;
/** A link to the socket of a keeper that holds other mounts, too. */
export const SHARED_KEEPER_SOCKET = "shared-keeper.sock";

/** Beside the run directories: a locked file for each uid that a decision service has. */
export const DECISION_UIDS = "decision-uids";

/** Of root's mounts. */
export const RUN_DIRECTORY = "/run/sluice";

/** The directories that run directories are in, the likeliest first. */
export function runBases(): string[] {
  const own = process.env["XDG_RUNTIME_DIR"] ?? "";
  const uid = process.geteuid?.() ?? 0;
  // Every user is root of their own user namespace, and they share /tmp. Earlier versions took the id inside of it.
  const ids = new Set([uidOutside(uid), uid]);
  return [RUN_DIRECTORY, ...(isAbsolute(own) ? [join(own, "sluice")] : []), ...[...ids].map((id) => join(tmpdir(), `sluice-${id}`))];
}

/** The mount point's real path. It does not touch the mount itself, which may be stale or stopped. */
export function realMountpoint(mountpoint: string): string {
  const path = resolve(mountpoint);
  if (path === "/") return path;
  try {
    return join(realpathSync.native(dirname(path)), basename(path));
  } catch {
    return path;
  }
}

/** `mountpoint` is a real path. */
export function directoryNameOf(mountpoint: string): string {
  // Loaded by the first call: a command that looks for no mount starts faster.
  const hash = process.getBuiltinModule("node:crypto").createHash("sha256");
  return hash.update(mountpoint).digest("hex").slice(0, 16);
}

/** All candidates for the mount's directory, the likeliest first. `mountpoint` is a real path. */
export function runDirectories(mountpoint: string): string[] {
  const name = directoryNameOf(mountpoint);
  return runBases().map((base) => join(base, name));
}

/** The candidates that only root or this user can have created: a command believes the answer of a socket there. */
export function trustedRunDirectories(mountpoint: string): string[] {
  return runDirectories(mountpoint).filter((path) => {
    try {
      const stat = lstatSync(dirname(path), { throwIfNoEntry: false });
      return stat?.isDirectory() === true && [0, process.geteuid?.()].includes(stat.uid) && (stat.mode & 0o022) === 0;
    } catch {
      return true; // connecting reports the reason
    }
  });
}

/** In /tmp another user could have created it first. */
export function isOwnDirectory(stat: Stats): boolean {
  return stat.isDirectory() && stat.uid === process.geteuid?.() && (stat.mode & 0o022) === 0;
}

function checkOwn(path: string): void {
  if (!isOwnDirectory(lstatSync(path))) {
    throw failed(path, "it belongs to somebody else or can be written by others (EPERM)", "remove it");
  }
}

/**
 * Removes a directory and the sockets in it, but no subdirectory, and only from a directory of our own: it may belong to a user (`--user`),
 * who must not lead this process elsewhere.
 */
export function removeFlat(directory: string): void {
  if (lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  checkOwn(dirname(directory));
  for (const name of readdirSync(directory)) unlinkSync(join(directory, name));
  rmdirSync(directory);
}

/** Of a mount that root's keeper holds for a user, to whom the directory belongs. */
export function isOfUser({ uid }: Stats): boolean {
  return process.geteuid?.() === 0 && uid !== 0;
}

/** The user may have put anything there. */
function removeOfUser(directory: string): void {
  const base = openSync(dirname(directory), constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    removeTree(base, basename(directory));
  } finally {
    closeSync(base);
  }
}

/** Removes the directory that has this name, if it is the one that `isIt` looks for. */
export function removeNamed(directory: string, isIt?: () => boolean): void {
  const base = dirname(directory);
  if (lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  checkOwn(base);
  remove(whileNaming(base, () => moveAside(directory, isIt)));
}

/** `aside` has a name of its own. */
function remove(aside: string | undefined): void {
  if (aside === undefined) return;
  if (isOfUser(lstatSync(aside))) removeOfUser(aside);
  else removeFlat(aside);
}

/** Its sockets are about to be there again, so nobody removes it as a dead one (dead-directories.ts). It may have been removed a moment ago. */
function touch(directory: string): undefined {
  if (lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) utimesSync(directory, new Date(), new Date());
}

export function alreadyMounted(mountpoint: string): CliError {
  const remedy = `run 'sluice unmount ${shellWord(mountpoint)}' first, or choose another directory`;
  return unfit(mountpoint, "it is already a Sluice mount (EBUSY)", remedy);
}

export function mountedMeanwhile(mountpoint: string): CliError {
  return unfit(mountpoint, "another mount is made there at this moment (EBUSY)", "leave it that place, and choose another directory");
}

const isMounted = (mountpoint: string): boolean => mountAt(mountpoint, readMountTable())?.type === "fuse.sluice";

/** @returns its identity; undefined if a Sluice mount has come to the place meanwhile */
function makePrivate(directory: string, mountpoint: string, goesOn: boolean): string | undefined {
  const base = dirname(directory);
  makeDirectories(base, 0o700);
  checkOwn(base);
  let former: string | undefined;
  const identity = whileNaming(base, () => {
    if (!goesOn && isMounted(mountpoint)) return undefined;
    // The directory belongs to a mount that died, that is ending, or that has not been made: it then finds that its name is taken.
    former = goesOn ? touch(directory) : moveAside(directory);
    makeDirectories(directory, 0o700);
    checkOwn(directory);
    // A moment later it may be the directory of another mount that begins.
    return identityOf(directory);
  });
  remove(former);
  return identity;
}

export interface RunDirectory {
  path: string;
  /** See `identityOf`. */
  identity: string;
  remove(): void;
}

/** Creates the directory, mode 0700, or with `goesOn` keeps the one that is there. @throws CliError if no candidate can be used */
export function makeRunDirectory(mountpoint: string, goesOn = false): RunDirectory {
  const problems: string[] = [];
  for (const path of runDirectories(mountpoint)) {
    let identity: string | undefined;
    try {
      identity = makePrivate(path, mountpoint, goesOn);
    } catch (error) {
      problems.push(`${dirname(path)} (${error instanceof CliError ? error.problem : codeOf(error)})`);
      continue;
    }
    if (identity === undefined) throw alreadyMounted(mountpoint);
    return { path, identity, remove: () => removeNamed(path, () => identityOf(path) === identity) };
  }
  throw failed(mountpoint, `no directory for its sockets can be made: ${problems.join(", ")}`, "make /run writable or set XDG_RUNTIME_DIR");
}

/**
 * Mounts by `mount` if no other mount of this place was begun since the directory was made: one that begins later finds this one in the mount
 * table. @throws CliError
 */
export function mountInTurn<T>({ path, identity }: RunDirectory, mountpoint: string, mount: () => T): T {
  const mounted = whileNamed(path, identity, () => ({ result: mount() }));
  if (mounted !== undefined) return mounted.result;
  throw mountedMeanwhile(mountpoint);
}

/** Gives the directory to the user that a server runs as. Everybody may pass the directory above it, but not list it. */
export function giveRunDirectory(path: string, user: { uid: number; gid: number }): void {
  chmodSync(dirname(path), 0o711);
  chownSync(path, user.uid, user.gid);
}

/** Removes the directories of a dead daemon. */
export function removeRunDirectories(mountpoint: string): void {
  for (const path of runDirectories(mountpoint)) {
    try {
      removeNamed(path);
    } catch {
      // It belongs to another user, and hinders nobody.
    }
  }
}
