/**
 * Constants of the system calls that only this package makes: mounts, capabilities, readiness, locks, signals.
 * Flags that cross the filesystem contract (O_, AT_, RENAME_, ...) live in @sluice/vfs; the few needed here are private
 * to the files that need them, since this package imports nothing.
 */

/** mount(2) flags. */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  SYNCHRONOUS: 16,
  REMOUNT: 32,
  DIRSYNC: 128,
  NOSYMFOLLOW: 256,
  NOATIME: 1024,
  NODIRATIME: 2048,
  BIND: 4096,
  MOVE: 8192,
  REC: 16384,
  UNBINDABLE: 1 << 17,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
  RELATIME: 1 << 21,
  STRICTATIME: 1 << 24,
  LAZYTIME: 1 << 25,
} as const;

/** umount2(2) flags. */
export const MNT = { FORCE: 1, DETACH: 2, EXPIRE: 4, UMOUNT_NOFOLLOW: 8 } as const;

/** socket(2): domains and types. */
export const AF = { UNIX: 1 } as const;
export const SOCK = { STREAM: 1, SEQPACKET: 5 } as const;

/** open_tree(2) flags; AT_EMPTY_PATH and AT_RECURSIVE may be added. */
export const OPEN_TREE = { CLONE: 1 } as const;

/**
 * mount_setattr(2) attributes. The access-time ones are values of one field: whoever sets one clears ATIME_MASK.
 */
export const MOUNT_ATTR = {
  RDONLY: 0x1,
  NOSUID: 0x2,
  NODEV: 0x4,
  NOEXEC: 0x8,
  ATIME_MASK: 0x70,
  RELATIME: 0,
  NOATIME: 0x10,
  STRICTATIME: 0x20,
  NODIRATIME: 0x80,
  NOSYMFOLLOW: 0x200000,
} as const;

/** Capability numbers; `capabilityMask` makes the masks that the calls take. */
export const CAP = {
  CHOWN: 0,
  DAC_OVERRIDE: 1,
  DAC_READ_SEARCH: 2,
  FOWNER: 3,
  FSETID: 4,
  KILL: 5,
  SETGID: 6,
  SETUID: 7,
  SETPCAP: 8,
  LINUX_IMMUTABLE: 9,
  NET_BIND_SERVICE: 10,
  NET_ADMIN: 12,
  IPC_LOCK: 14,
  SYS_CHROOT: 18,
  SYS_PTRACE: 19,
  SYS_ADMIN: 21,
  SYS_NICE: 23,
  SYS_RESOURCE: 24,
  MKNOD: 27,
  LEASE: 28,
  SETFCAP: 31,
  MAC_OVERRIDE: 32,
  MAC_ADMIN: 33,
} as const;

/** The set of the given CAP numbers. */
export function capabilityMask(...capabilities: readonly number[]): bigint {
  return capabilities.reduce((mask, capability) => mask | (1n << BigInt(capability)), 0n);
}

/** Bits of the `events` that a poll callback gets. */
export const UV_READABLE = 1;
export const UV_DISCONNECT = 4;
/**
 * The `status` a poll callback gets when the descriptor reports an error, which is how /dev/fuse tells that its
 * connection was aborted or unmounted. No further call follows.
 */
export const POLL_STATUS_ENDED = -9;

/** flock(2) operations. */
export const LOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const;

/** Bits of poll(2). */
export const POLL = { IN: 1, PRI: 2, OUT: 4, ERR: 8, HUP: 16, RDHUP: 0x2000 } as const;

/** Seals of a memory file. */
export const SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8 } as const;

/** Of the kernel's struct termios as the C library shows it, and of struct winsize. */
export const TERMIOS_BYTES = 60;
export const WINSIZE_WORDS = 4;
