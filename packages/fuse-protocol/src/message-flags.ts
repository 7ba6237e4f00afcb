/** The flags and codes of single messages, as in include/uapi/linux/fuse.h of 7.45. The features of INIT are in init-flags.ts. */

/** FOPEN_ flags of an open's reply: they tell the kernel how to do I/O on the handle. */
export const Fopen = {
  DIRECT_IO: 1,
  KEEP_CACHE: 2,
  NONSEEKABLE: 4,
  CACHE_DIR: 8,
  STREAM: 16,
  NOFLUSH: 32,
  PARALLEL_DIRECT_WRITES: 64,
  PASSTHROUGH: 128,
} as const;

/** FATTR_ bits of fuse_setattr_in.valid: the fields that are set. */
export const Fattr = {
  MODE: 1,
  UID: 2,
  GID: 4,
  SIZE: 8,
  ATIME: 16,
  MTIME: 32,
  FH: 64,
  ATIME_NOW: 128,
  MTIME_NOW: 256,
  LOCKOWNER: 512,
  CTIME: 1024,
  KILL_SUIDGID: 2048,
} as const;

/** The small flag words of single requests. */
export const RequestFlag = {
  GETATTR_FH: 1,
  OPEN_KILL_SUIDGID: 1,
  WRITE_CACHE: 1,
  WRITE_LOCKOWNER: 2,
  WRITE_KILL_SUIDGID: 4,
  RELEASE_FLUSH: 1,
  RELEASE_FLOCK_UNLOCK: 2,
  LK_FLOCK: 1,
  FSYNC_FDATASYNC: 1,
  SETXATTR_ACL_KILL_SGID: 1,
  IOCTL_COMPAT: 1,
  IOCTL_UNRESTRICTED: 2,
  IOCTL_RETRY: 4,
  IOCTL_32BIT: 8,
  IOCTL_DIR: 16,
} as const;

/** Messages that the server may send the kernel of its own accord (fuse_notify_code). */
export const NotifyCode = {
  POLL: 1,
  INVAL_INODE: 2,
  INVAL_ENTRY: 3,
  STORE: 4,
  RETRIEVE: 5,
  DELETE: 6,
  RESEND: 7,
  INC_EPOCH: 8,
  PRUNE: 9,
} as const;

/** Flag of INVAL_ENTRY: the name lives on until it is used next. */
export const EXPIRE_ONLY = 1;
