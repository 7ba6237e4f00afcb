/**
 * A directory of the node, opened beneath a listed root without following a symbolic link, and bound to a place of the driver's own. The
 * host service opens its layers by path; whoever can write below the root cannot lead it elsewhere meanwhile.
 */
import { realpathSync } from "node:fs";
import { isBeneath } from "@sluice/mount-control";
import { MS, native, openDirectoryBeneath } from "@sluice/native";
import { codeOf } from "@sluice/runtime/cli";
import { type CsiError, invalid, unavailable, unready } from "../csi-error.js";

const O_PATH = 0o10000000;
const AT_FDCWD = -100;
const EAGAIN = 11;
const ENOENT = 2;

const bytesOf = (path: string): string => Buffer.from(path).toString("latin1");

function refusal(path: string, errno: number): CsiError {
  if (errno === ENOENT) return unready(`${path}: there is no such directory on this node (ENOENT): create it`);
  if (errno === EAGAIN) return unavailable(`${path}: directories on the way are being renamed (EAGAIN)`);
  return invalid(`${path}: it is no directory without symbolic links beneath its root (errno ${errno})`);
}

function openBelow(root: string, path: string): number {
  const rootFd = native.openat(AT_FDCWD, bytesOf(root), O_PATH, 0);
  if (rootFd < 0) throw refusal(root, -rootFd);
  try {
    const below = path === root ? "." : bytesOf(path.slice(root === "/" ? 1 : root.length + 1));
    const fd = openDirectoryBeneath(rootFd, below, O_PATH);
    if (fd < 0) throw refusal(path, -fd);
    return fd;
  } finally {
    native.close(rootFd);
  }
}

/** The listed root that a path lies beneath, and the path with that root's symbolic links resolved: the administrator made those. */
function rootOf(path: string, roots: readonly string[]): { root: string; real: string } {
  const root = roots.find((each) => isBeneath(path, each));
  if (root === undefined || path.split("/").includes("..")) throw invalid(`${path}: it lies below no root that the driver lists`);
  try {
    const real = realpathSync(root);
    return { root: real, real: path === root ? real : `${real === "/" ? "" : real}/${path.slice(root === "/" ? 1 : root.length + 1)}` };
  } catch (error) {
    throw unready(`${root}: the root cannot be read (${codeOf(error)}): mount it into the driver`);
  }
}

/** Binds the directory `path` to the directory `place`. @throws CsiError */
export function pin(path: string, place: string, roots: readonly string[]): void {
  const { root, real } = rootOf(path, roots);
  const fd = openBelow(root, real);
  try {
    const bound = native.mount(`/proc/self/fd/${fd}`, bytesOf(place), "", MS.BIND, "");
    if (bound < 0) throw unready(`${path}: it cannot be bound to ${place} (errno ${-bound}): give the driver CAP_SYS_ADMIN`);
  } finally {
    native.close(fd);
  }
}
