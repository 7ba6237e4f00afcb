/**
 * The one way to open by path below a layer's root: no component may be a symlink, a magic link or another mount, and
 * nothing leads above the root, whoever renames directories meanwhile.
 */
import { native } from "./native.js";

const RESOLVE_NO_XDEV = 1;
const RESOLVE_NO_MAGICLINKS = 2;
const RESOLVE_NO_SYMLINKS = 4;
const RESOLVE_BENEATH = 8;
const RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
const O_NOFOLLOW = process.arch === "arm64" ? 0o100000 : 0o400000;
const EAGAIN = 11;
const MAX_ATTEMPTS = 32;

/**
 * openat2(2) with O_CLOEXEC and O_NOFOLLOW added. `path` is relative, a byte string; `mode` is 0 unless `flags` create.
 * A symlink as the last component is -ELOOP, but with O_PATH it is opened itself.
 * @returns the descriptor, or the negative errno: -EXDEV above the root or across a mount, -ELOOP at a symlink on the way.
 */
export function openBeneath(rootFd: number, path: string, flags: number, mode: number): number {
  // -EAGAIN: a rename or mount anywhere on the machine raced with a ".." in the path, and the kernel could not be sure.
  for (let attempt = 1; ; attempt++) {
    const fd = native.openat2(rootFd, path, flags | O_NOFOLLOW, mode, RESOLVE);
    if (fd !== -EAGAIN || attempt === MAX_ATTEMPTS) return fd;
  }
}
