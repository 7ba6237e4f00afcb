/** Constants for system calls on paths. */
export const AT_FDCWD = -100;
export const AT_EMPTY_PATH = 0x1000;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_STATX_DONT_SYNC = 0x4000;
export const O_CLOEXEC = 0o2000000;
export const O_NONBLOCK = 0o4000;
export const O_PATH = 0o10000000;
export const O_NOFOLLOW = process.arch === "arm64" ? 0o100000 : 0o400000;
export const ENOENT = 2;
export const EAGAIN = 11;
export const EACCES = 13;
export const EISDIR = 21;
export const EINVAL = 22;
export const ELOOP = 40;
export const EREMOTE = 66;
