/**
 * Removes trees that belong to somebody else: beneath a root, across no mount, and at any depth with a bounded number of
 * descriptors. Owners may rename directories and put links in their place meanwhile, and lead nobody elsewhere by it.
 */
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

function unlink(rootFd: number, path: string): number {
  return inDirectory(rootFd, path, (directory, name) => {
    const status = native.unlinkat(directory, name, 0);
    return status === -EISDIR ? native.unlinkat(directory, name, AT_REMOVEDIR) : status;
  });
}

/** Its owner may have closed a directory to itself, which holds for everybody but root. */
function openUp(rootFd: number, path: string): void {
  inDirectory(rootFd, path, (directory, name) => native.fchmodat(directory, name, 0o700, AT_SYMLINK_NOFOLLOW));
}

function namesIn(rootFd: number, path: string): string[] | number {
  const fd = openBeneath(rootFd, path, O_DIRECTORY, 0);
  if (fd < 0) return fd;
  const names = readNames(fd);
  native.close(fd);
  return names;
}

/** Removes an object with all that is in it. Stops at the first object that stays. One that is gone already is no error. */
export function removeTree(rootFd: number, path: string): Removal {
  const privileged = process.geteuid?.() === 0;
  const left = [{ path, listed: false }];
  for (let last = left.at(-1); last !== undefined; last = left.at(-1)) {
    const status = unlink(rootFd, last.path);
    if (status >= 0 || status === -ENOENT) {
      left.pop();
      continue;
    }
    // A second try would let somebody who adds names keep us here.
    if (status !== -ENOTEMPTY || last.listed) return { status, path: last.path };
    if (!privileged) openUp(rootFd, last.path);
    const names = namesIn(rootFd, last.path);
    if (typeof names === "number") return { status: names, path: last.path };
    last.listed = true;
    for (const name of names) left.push({ path: `${last.path}/${name}`, listed: false });
  }
  return { status: 0, path };
}

/** Removes everything in the root. */
export function emptyDirectory(rootFd: number): Removal {
  const names = namesIn(rootFd, ".");
  if (typeof names === "number") return { status: names, path: "" };
  for (const name of names) {
    const removal = removeTree(rootFd, name);
    if (removal.status < 0) return removal;
  }
  return { status: 0, path: "" };
}
