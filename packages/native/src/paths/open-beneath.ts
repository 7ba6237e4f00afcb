/**
 * The ways to open a path that others may change meanwhile. Below a layer's root no component may be a symlink, a magic
 * link or another mount, and nothing leads above the root, whoever renames directories meanwhile.
 */
import { native } from "../native.js";

const RESOLVE_NO_XDEV = 1;
const RESOLVE_NO_MAGICLINKS = 2;
const RESOLVE_NO_SYMLINKS = 4;
const RESOLVE_BENEATH = 8;
const RESOLVE_NO_LINKS = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
const RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_LINKS | RESOLVE_NO_XDEV;
const O_NOFOLLOW = process.arch === "arm64" ? 0o100000 : 0o400000;
const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;
const O_PATH = 0o10000000;
const AT_FDCWD = -100;
const EAGAIN = 11;
const MAX_ATTEMPTS = 32;
/** PATH_MAX of the kernel, less the NUL. */
const MAX_PATH_BYTES = 4095;

function openResolved(rootFd: number, path: string, flags: number, mode: number): number {
  // -EAGAIN: a rename or mount anywhere on the machine raced with a ".." in the path, and the kernel could not be sure.
  for (let attempt = 1; ; attempt++) {
    const fd = native.openat2(rootFd, path, flags | O_NOFOLLOW, mode, RESOLVE);
    if (fd !== -EAGAIN || attempt === MAX_ATTEMPTS) return fd;
  }
}

/**
 * openat2(2) with O_CLOEXEC and O_NOFOLLOW added. `path` is relative, a byte string of any length: one beyond PATH_MAX is opened in
 * parts, with two descriptors at most. `mode` is 0 unless `flags` create. A symlink as the last component is -ELOOP, but with O_PATH
 * it is opened itself.
 * @returns the descriptor, or the negative errno: -EXDEV above the root or across a mount, -ELOOP at a symlink on the way.
 */
export function openBeneath(rootFd: number, path: string, flags: number, mode: number): number {
  let at = rootFd;
  let rest = path;
  while (rest.length > MAX_PATH_BYTES) {
    const slash = rest.lastIndexOf("/", MAX_PATH_BYTES);
    // Without a slash a single name is longer than that, which the kernel refuses.
    const next = openResolved(at, slash < 0 ? rest : rest.slice(0, slash), O_PATH | O_DIRECTORY, 0);
    if (at !== rootFd) native.close(at);
    if (next < 0) return next;
    at = next;
    rest = rest.slice(slash + 1);
  }
  const fd = openResolved(at, rest, flags, mode);
  if (at !== rootFd) native.close(at);
  return fd;
}

/**
 * Opens a directory below one, "." for that one itself, with O_CLOEXEC added. Mounts on the way are crossed, for only root makes those; no
 * link is followed, and one in place of the directory is -ELOOP.
 */
export function openDirectoryBeneath(rootFd: number, path: string, flags: number): number {
  const below = RESOLVE_BENEATH | RESOLVE_NO_LINKS;
  for (let attempt = 1; ; attempt++) {
    // Without O_NOFOLLOW, with which a link would be -ENOTDIR.
    const fd = native.openat2(rootFd, path, flags | O_DIRECTORY, 0, below);
    if (fd !== -EAGAIN || attempt === MAX_ATTEMPTS) return fd;
  }
}

/**
 * Opens a directory by its real path, an absolute byte string: -ELOOP if a symlink has been put on the way since the path was
 * resolved. Mounts on the way are crossed.
 */
export function openRealDirectory(path: string, flags: number): number {
  return native.openat2(AT_FDCWD, path, flags | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE_NO_LINKS);
}

/** Runs `use` on a descriptor of the directory that holds `path`, and the name there: "." for the root itself. @returns its result, or the negative errno */
export function inDirectory(rootFd: number, path: string, use: (directoryFd: number, name: string) => number): number {
  const slash = path.lastIndexOf("/");
  const directory = slash < 0 ? rootFd : openBeneath(rootFd, path.slice(0, slash), O_PATH | O_DIRECTORY, 0);
  if (directory < 0) return directory;
  try {
    return use(directory, path === "" ? "." : path.slice(slash + 1));
  } finally {
    if (directory !== rootFd) native.close(directory);
  }
}
