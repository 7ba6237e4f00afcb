/**
 * Removes trees that belong to somebody else: beneath a root, across no mount, and at any depth with a bounded number of
 * descriptors. Owners may rename directories and put links in their place meanwhile, and lead nobody elsewhere by it.
 */
import { fchmodSync, fchownSync } from "node:fs";
import { readNames } from "./dirents.js";
import { native } from "../native.js";
import { inDirectory, openBeneath } from "./open-beneath.js";

const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;
const AT_REMOVEDIR = 0x200;
const AT_SYMLINK_NOFOLLOW = 0x100;
const ENOENT = 2;
const EISDIR = 21;
const ENOTEMPTY = 39;

export interface Removal {
  /** 0, or the negative errno. */
  status: number;
  /** Of the object that stays, below the root. */
  path: string;
}

function unlink(directory: number, name: string): number {
  const status = native.unlinkat(directory, name, 0);
  return status === -EISDIR ? native.unlinkat(directory, name, AT_REMOVEDIR) : status;
}

/** Its owner may have closed a directory to itself, which holds for everybody but root. */
function openUp(rootFd: number, path: string): void {
  inDirectory(rootFd, path, (directory, name) => native.fchmodat(directory, name, 0o700, AT_SYMLINK_NOFOLLOW));
}

/** Removes what can be removed by its name. @returns the full directories that are left in this one, or the first object that stays */
function removeIn(rootFd: number, path: string): string[] | Removal {
  const fd = openBeneath(rootFd, path === "" ? "." : path, O_DIRECTORY, 0);
  if (fd === -ENOENT) return [];
  if (fd < 0) return { status: fd, path };
  try {
    const names = readNames(fd);
    if (typeof names === "number") return { status: names, path };
    const full: string[] = [];
    for (const name of names) {
      const [status, child] = [unlink(fd, name), path === "" ? name : `${path}/${name}`];
      if (status === -ENOTEMPTY) full.push(child);
      else if (status < 0 && status !== -ENOENT) return { status, path: child };
    }
    return full;
  } finally {
    native.close(fd);
  }
}

/** Its owner, or whoever may write to it, adds nothing from now on. A directory that cannot be taken stays as it is. */
function takeDirectory(rootFd: number, path: string): void {
  const fd = openBeneath(rootFd, path, O_DIRECTORY, 0);
  if (fd < 0) return;
  try {
    fchownSync(fd, 0, 0);
    fchmodSync(fd, 0o700);
  } catch {
    // Such as in a user namespace that has no id for its owner.
  } finally {
    native.close(fd);
  }
}

interface Full {
  path: string;
  /** It was looked through. */
  listed: boolean;
  /** It was not empty after that, so nobody else can add to it any more. */
  taken: boolean;
}

function removeFull(rootFd: number, paths: readonly string[]): Removal {
  const privileged = process.geteuid?.() === 0;
  const left: Full[] = paths.map((path) => ({ path, listed: false, taken: false }));
  for (let last = left.at(-1); last !== undefined; last = left.at(-1)) {
    if (last.listed) {
      const status = inDirectory(rootFd, last.path, unlink);
      // A third look would let somebody who adds names keep us here.
      if (status === -ENOTEMPTY && privileged && !last.taken) {
        takeDirectory(rootFd, last.path);
        last.listed = false;
        last.taken = true;
        continue;
      }
      if (status < 0 && status !== -ENOENT) return { status, path: last.path };
      left.pop();
      continue;
    }
    if (!privileged) openUp(rootFd, last.path);
    const full = removeIn(rootFd, last.path);
    if (!Array.isArray(full)) return full;
    last.listed = true;
    for (const path of full) left.push({ path, listed: false, taken: false });
  }
  return { status: 0, path: "" };
}

/** Removes an object with all that is in it. Stops at the first object that stays. One that is gone already is no error. */
export function removeTree(rootFd: number, path: string): Removal {
  const status = inDirectory(rootFd, path, unlink);
  const removal = status === -ENOTEMPTY ? removeFull(rootFd, [path]) : { status: status === -ENOENT ? 0 : status, path };
  return removal.status < 0 ? removal : { status: 0, path };
}

/** Removes everything in the root. */
export function emptyDirectory(rootFd: number): Removal {
  const full = removeIn(rootFd, "");
  return Array.isArray(full) ? removeFull(rootFd, full) : full;
}
