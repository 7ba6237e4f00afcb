/**
 * Where the sockets of one mount lie: a private directory named after the mount point, so that commands find it again.
 * In /run; for a daemon that may not write there, below the user's own runtime or temporary directory.
 */
import { createHash } from "node:crypto";
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, realpathSync, rmdirSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { codeOf, failed } from "@sluice/runtime/cli";
import { ownPath } from "./own-path.js";

/** The names of the sockets in it. */
export const CONTROL_SOCKET = "control.sock";
export const KEEPER_SOCKET = "keeper.sock";

function bases(): string[] {
  const own = process.env["XDG_RUNTIME_DIR"];
  const uid = process.geteuid?.() ?? 0;
  return ["/run/sluice", ...(own === undefined ? [] : [join(own, "sluice")]), join(tmpdir(), `sluice-${uid}`)];
}

/** The mount point's real path, found without touching the mount itself: it may be stale or stopped. */
export function realMountpoint(mountpoint: string): string {
  const path = resolve(mountpoint);
  if (path === "/") return path;
  try {
    return join(realpathSync.native(dirname(path)), basename(path));
  } catch {
    return path;
  }
}

/** Every place where the mount's directory may be, likeliest first. `mountpoint` is a real path. */
export function runDirectories(mountpoint: string): string[] {
  const name = createHash("sha256").update(mountpoint).digest("hex").slice(0, 16);
  return bases().map((base) => join(base, name));
}

/** Of those the ones that nobody but root and ourselves can have put there: what a socket says is believed. */
export function trustedRunDirectories(mountpoint: string): string[] {
  return runDirectories(mountpoint).filter((path) => {
    try {
      const stat = lstatSync(dirname(path), { throwIfNoEntry: false });
      return stat?.isDirectory() === true && [0, process.geteuid?.()].includes(stat.uid) && (stat.mode & 0o022) === 0;
    } catch {
      return true; // whoever connects is told why not
    }
  });
}

function checkOwn(path: string): void {
  const stat = lstatSync(path);
  // In /tmp anybody could have made it before us.
  if (!stat.isDirectory() || stat.uid !== process.geteuid?.() || (stat.mode & 0o022) !== 0) {
    throw failed(path, "it belongs to somebody else or can be written by others (EPERM)", "remove it");
  }
}

/**
 * With the sockets in it. Nothing deeper is looked at, and nothing but a directory in one of our own: it may have been a
 * user's (`--user`), or never ours, and nobody is to lead us elsewhere.
 */
function removeFlat(directory: string): void {
  if (lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  checkOwn(dirname(directory));
  for (const name of readdirSync(directory)) unlinkSync(join(directory, name));
  rmdirSync(directory);
}

function makePrivate(directory: string): void {
  const base = dirname(directory);
  mkdirSync(base, { recursive: true, mode: 0o700 });
  checkOwn(base);
  // Nothing of Sluice's is mounted there any more: this is of a mount that died, or that is about to be gone.
  removeFlat(directory);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  checkOwn(directory);
}

/** Makes the directory, mode 0700. Throws CliError where none of the places can be used. */
export function makeRunDirectory(mountpoint: string): { path: string; remove(): void } {
  let problem: unknown;
  for (const path of runDirectories(mountpoint)) {
    try {
      makePrivate(path);
      return { path, remove: ownPath(path, removeFlat) };
    } catch (error) {
      problem = error;
    }
  }
  throw failed(
    bases()[0] as string,
    `no directory for sockets can be made (${codeOf(problem)})`,
    "make /run writable or set XDG_RUNTIME_DIR",
  );
}

/** Gives the directory to the user that a server runs as. The one above lets everybody through, and tells nobody what is there. */
export function giveRunDirectory(path: string, user: { uid: number; gid: number }): void {
  chmodSync(dirname(path), 0o711);
  chownSync(path, user.uid, user.gid);
}

/** Removes what a dead daemon left. */
export function removeRunDirectories(mountpoint: string): void {
  for (const path of runDirectories(mountpoint)) {
    try {
      removeFlat(path);
    } catch {
      // Of another user: not ours to remove, and in nobody's way.
    }
  }
}
