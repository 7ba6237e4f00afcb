/**
 * The typed face of the addon. One function is one system call, or one fixed race-free sequence of them;
 * there is no policy and no state here.
 *
 * Conventions, for every function unless it says otherwise:
 * - the result is a non-negative number, or the negative errno (`-ENOENT`); nothing throws but a wrong argument type;
 * - a file name or path is a *byte string*: a JavaScript string in which each character is one byte (latin1),
 *   since file names on Linux are bytes and need not be UTF-8;
 * - `dirfd` is an open descriptor or AT_FDCWD; every descriptor made here is close-on-exec;
 * - a file offset or size is a number while it is a safe integer, and a bigint beyond (`FileOffset`);
 * - functions ending in `Async` run on the libuv pool and resolve to the same kind of result; they never reject.
 */
import type { CopyCalls } from "./calls/copy-calls.js";
import type { GuardCalls } from "./calls/guard-calls.js";
import type { NameCalls } from "./calls/name-calls.js";

/** Bytes from the start of a file. A plain number while it is a safe integer, else a bigint (up to 2^63 - 1). */
export type FileOffset = number | bigint;

/** Length of the word array that `statx` and `fstat` fill; the words are named by `StatWord`. */
export const STAT_WORDS = 32;

/**
 * The place of each field of a stat in the word array (32-bit little-endian words; 64-bit fields are lo, hi).
 * The first 22 words are in the order of `struct fuse_attr`, so that an engine can copy them as they are.
 */
export const StatWord = {
  inoLo: 0,
  inoHi: 1,
  sizeLo: 2,
  sizeHi: 3,
  blocksLo: 4,
  blocksHi: 5,
  atimeLo: 6,
  atimeHi: 7,
  mtimeLo: 8,
  mtimeHi: 9,
  ctimeLo: 10,
  ctimeHi: 11,
  atimeNsec: 12,
  mtimeNsec: 13,
  ctimeNsec: 14,
  mode: 15,
  nlink: 16,
  uid: 17,
  gid: 18,
  /** As fuse_attr wants it: new_encode_dev(), (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12). */
  rdev: 19,
  blksize: 20,
  flags: 21,
  devMajor: 22,
  devMinor: 23,
  /** STATX_MNT_ID_UNIQUE where the kernel has it (6.8), else STATX_MNT_ID. */
  mountIdLo: 24,
  mountIdHi: 25,
  btimeLo: 26,
  btimeHi: 27,
  btimeNsec: 28,
  /** stx_attributes, low word (STATX_ATTR_IMMUTABLE, _APPEND, ...). */
  attributes: 29,
  mask: 30,
  /** 0, unless `statWithAttribute` fills it. */
  attribute: 31,
} as const;

export interface Poller {
  close(): void;
}
export interface Notifier {
  /** Queues a copy of `length` bytes for the notifier's own thread to write. Returns the queue's length; -EBADF once closed. */
  post(bytes: Uint8Array, length: number): number;
  /** Messages written, and messages the kernel refused (each with ENOENT when the inode is simply gone). */
  counts(): { written: number; refused: number };
  /** Drops what is queued and ends the thread; one that is inside a write ends after it. The descriptor stays the caller's. */
  close(): void;
}
export const RING_LOST = 0xffff_ffff;
export const RING_LOOP_WORD = 256;

/**
 * FUSE over io_uring on one connection: entries of one io_uring, each with memory for one request and its reply. To be
 * used by the thread that made it. Numbers are counts or negative errnos, -EBADF once it is closed.
 */
export interface FuseRing {
  /**
   * Filled by `turn`: an entry's index, and the length of the request in it (0: the kernel's parts do not fit each
   * other; RING_LOST: no more requests). RING_LOOP_WORD says, if nothing is ready, whether the event loop has something else.
   */
  readonly ready: Uint32Array;
  /** Readable when there is something for `turn`, but not between `begin` and `end`. */
  readonly eventFd: number;
  /** An entry's piece of its block, and where in it a request starts and a reply is built, header first. */
  readonly entryBytes: number;
  readonly requestAt: number;
  readonly replyAt: number;
  /** Every block that `add` gave: the kernel writes there, so they live as long as this. */
  readonly blocks: readonly ArrayBuffer[];
  /** Registers so many further entries (at most 1024) for a queue, numbered on; the block that they lie in. */
  add(queue: number, count: number): ArrayBuffer | number;
  begin(): void;
  /**
   * Submits the committed entries, and takes the ready ones. With `linger`, if none is ready, it looks for one for `lookUs`,
   * then sleeps until one is ready, the event loop has something else to do, or two milliseconds are over.
   */
  turn(linger: boolean, lookUs: number): number;
  /** Submits what was committed. More that became ready makes `eventFd` readable. */
  end(): number;
  /** The reply that was built in an entry is the answer to its request: goes out with the next turn, end or submit. */
  commit(entry: number): number;
  submit(): number;
  close(): void;
}
export interface PeerCredentials {
  pid: number;
  uid: number;
  gid: number;
}

export interface SocketKind {
  domain: number;
  type: number;
  listens: number;
}

export interface Native extends CopyCalls, GuardCalls, NameCalls {
  // --- /dev/fuse -------------------------------------------------------------------------------------------
  /** open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC). */
  fuseOpen(): number;
  /** FUSE_DEV_IOC_BACKING_OPEN: registers `fd` as a backing file; its id (> 0). Runs with the thread's credentials. */
  backingOpen(fuseFd: number, fd: number): number;
  /** FUSE_DEV_IOC_BACKING_CLOSE. */
  backingClose(fuseFd: number, backingId: number): number;
  /** FUSE_DEV_IOC_CLONE: makes `cloneFd` (a fresh /dev/fuse) a further channel of `fuseFd`'s connection. */
  fuseClone(cloneFd: number, fuseFd: number): number;
  /** read(2) and write(2) into and out of `bytes[offset, offset + length)`; -EAGAIN if nothing is there. */
  read(fd: number, bytes: Uint8Array, offset: number, length: number): number;
  write(fd: number, bytes: Uint8Array, offset: number, length: number): number;
  /** As read, trying again for up to `limitUs` if nothing is there. Leaves the time in `clock`, as monotonicClock does. */
  readRequest(fd: number, bytes: Uint8Array, offset: number, length: number, limitUs: number, clock: Uint8Array): number;
  /** As write. Leaves the time in `clock`. */
  writeReply(fd: number, bytes: Uint8Array, offset: number, length: number, clock: Uint8Array): number;
  /** CLOCK_MONOTONIC in microseconds, into the 8 bytes of a double at the start of `clock`. */
  monotonicClock(clock: Uint8Array): number;
  /** As monotonicClock, of CLOCK_BOOTTIME: it goes on while the machine is suspended. */
  bootClock(clock: Uint8Array): number;
  /** writev(2) of two pieces: a reply's header and its data. */
  write2(fd: number, head: Uint8Array, headLength: number, body: Uint8Array, bodyOffset: number, bodyLength: number): number;
  /**
   * Calls `onReadable` on the loop's thread (level-triggered uv_poll, UV_READABLE | UV_DISCONNECT) until closed;
   * microtasks run after it. A status below 0 is the last call: POLL_STATUS_ENDED when the connection is gone. An error
   * that it throws is an uncaught exception. Throws if `fd` cannot be polled. Close it before `fd`.
   */
  poll(fd: number, onReadable: (status: number, events: number) => void): Poller;
  /**
   * An io_uring for up to `entries` entries of `payloadBytes` each on a connection (Linux 6.14), of which it holds a
   * duplicate. Nothing is registered yet: a refusal here (-EPERM, -ENOSYS: of io_uring itself) leaves /dev/fuse as it was.
   */
  fuseRing(fuseFd: number, entries: number, payloadBytes: number): FuseRing | number;
  /**
   * A thread of its own that writes FUSE notifications: the kernel may hold an inode's lock until the loop's thread
   * has answered somebody else, so a notification written there could wait for itself.
   */
  notifier(fuseFd: number): Notifier;

  // --- mounts ----------------------------------------------------------------------------------------------
  mount(source: string, target: string, type: string, flags: number, data: string): number;
  umount2(target: string, flags: number): number;
  umount2Async(target: string, flags: number): Promise<number>;
  /** close(2) of a stranger's descriptor, or of a socket with some: if a socket waits for its peer (SO_LINGER), a signal ends that soon. */
  closeSoonAsync(fd: number): Promise<number>;
  /** close(2), in the pool if it may write or give back much data: then a promise of its result. */
  closeFile(fd: number): number | Promise<number>;
  /**
   * open_tree(2); with OPEN_TREE_CLONE a private, detached copy of the mount that `path` lies on: taken out of the
   * original's peer group, so that nothing mounted there later (our own mount, say) ever shows in it.
   */
  openTree(dirfd: number, path: string, flags: number): number;
  /** fsopen(2): a file system of this type, to be configured. */
  fsopen(type: string): number;
  /** fsconfig(2): a string, or a flag where `value` is empty. */
  fsconfig(fd: number, key: string, value: string): number;
  /** Creates what was configured, and mounts it nowhere: an O_PATH descriptor, with which the mount goes. */
  fsmount(fd: number): number;
  /** move_mount(2): puts the mount of `fd` onto the directory of `onto`, O_PATH descriptors both. No path is followed. */
  moveMount(fd: number, onto: number): number;
  /** mount_setattr(2) on `dirfd`/`path`. */
  mountSetattr(dirfd: number, path: string, flags: number, set: number, clear: number): number;
  /** statfs(2) of a descriptor into 12 doubles: type, bsize, blocks, bfree, bavail, files, ffree, fsid lo, fsid hi, namelen, frsize, flags. */
  fstatfs(fd: number, out: Float64Array): number;

  // --- extended attributes (…at(2) of 6.13, else by /proc/self/fd of an O_PATH descriptor; links never followed) --
  /** name "" is the object `dirfd` stands for (any descriptor, O_PATH too). With an empty `value`, the size. */
  getxattrat(dirfd: number, name: string, attribute: string, value: Uint8Array): number;
  setxattrat(dirfd: number, name: string, attribute: string, value: Uint8Array, flags: number): number;
  listxattrat(dirfd: number, name: string, list: Uint8Array): number;
  removexattrat(dirfd: number, name: string, attribute: string): number;

  /**
   * From now on `openat2` for reading, `statx`, `renameat2` and the calls for extended attributes reach files and directories of this
   * process's user whose mode denies it (EACCES): as the user could after a chmod, by a user namespace, if the machine has those. Not for
   * root.
   */
  readAsOwner(on: boolean): void;

  // --- data ------------------------------------------------------------------------------------------------
  /** preadv2/pwritev2 of one piece: `bytes[offset, offset + length)` at `position`; flags are RWF_ (NOWAIT, APPEND, DSYNC, ...). */
  pread(fd: number, bytes: Uint8Array, range: ByteRange, flags: number): number;
  pwrite(fd: number, bytes: Uint8Array, range: ByteRange, flags: number): number;
  /** The bytes stay pinned until it resolves. */
  preadAsync(fd: number, bytes: Uint8Array, range: ByteRange, flags: number): Promise<number>;
  pwriteAsync(fd: number, bytes: Uint8Array, range: ByteRange, flags: number): Promise<number>;
  ftruncate(fd: number, size: FileOffset): number;
  ftruncateAsync(fd: number, size: FileOffset): Promise<number>;
  fallocateAsync(fd: number, mode: number, offset: FileOffset, length: FileOffset): Promise<number>;
  /** The new offset: a bigint beyond 2^53. */
  lseek(fd: number, offset: FileOffset, whence: number): FileOffset;
  lseekAsync(fd: number, offset: FileOffset, whence: number): Promise<FileOffset>;
  /** fsync(2), syncfs(2) on the loop's thread: for file systems that are known to be in memory, and for commands that serve nobody. */
  fsync(fd: number): number;
  syncfs(fd: number): number;
  fsyncAsync(fd: number, dataOnly: boolean): Promise<number>;
  syncfsAsync(fd: number): Promise<number>;
  /** sync_file_range(2) of the whole file with SYNC_FILE_RANGE_WRITE. */
  beginWriteAsync(fd: number): Promise<number>;
  /** FS_IOC_GETFLAGS / SETFLAGS, and FS_IOC_FSGETXATTR / FSSETXATTR: struct fsxattr (28 bytes) into and out of `bytes`. */
  getFlags(fd: number): number;
  setFlags(fd: number, flags: number): number;
  getFsxattr(fd: number, bytes: Uint8Array): number;
  setFsxattr(fd: number, bytes: Uint8Array): number;
  /** FS_IOC_GETFSUUID (6.9), or on btrfs BTRFS_IOC_FS_INFO: the file system's UUID as overlayfs knows it into `bytes`; its length. -ENOTTY if it has none. */
  getFsUuid(fd: number, bytes: Uint8Array): number;
  flock(fd: number, operation: number): number;
  /** 1 if somebody has the file open or mapped for writing, else 0. `fd` reads alone. -EACCES: not the owner's; -EINVAL: no leases. */
  isWritten(fd: number): number;

  // --- terminals -------------------------------------------------------------------------------------------
  /** A new pseudo-terminal into `ends`: its near end (ptmx), and its far one for a program. */
  openPty(ends: Int32Array): number;
  /** tcgetattr(3): struct termios into `mode` (TERMIOS_BYTES suffice); its length. */
  terminalMode(fd: number, mode: Uint8Array): number;
  /**
   * tcsetattr(3) with TCSANOW, also from the background. `rawInput`: no editing, echo or signals by keys; `rawOutput`: no translation of
   * line ends. Without them as `mode` says.
   */
  setTerminalMode(fd: number, mode: Uint8Array, rawInput: boolean, rawOutput: boolean): number;
  /** TIOCGWINSZ, TIOCSWINSZ: struct winsize, four words. The kernel signals a change to the programs of the terminal (SIGWINCH). */
  terminalSize(fd: number, size: Uint16Array): number;
  setTerminalSize(fd: number, size: Uint16Array): number;
  /** TIOCSIG of a near end: SIGINT, SIGQUIT or SIGTSTP to the foreground of the far end. */
  signalTerminal(near: number, signal: number): number;
  /** tcflush(3) with TCIFLUSH: throws away what was typed on a terminal and was not read. */
  flushInput(fd: number): number;

  // --- this thread's and this process' credentials -----------------------------------------------------------
  /**
   * Makes this thread create as the caller: raw setfsgid(gid), setfsuid(uid), re-raises the file-system capabilities
   * that setfsuid dropped (so that the layer's own permissions never get in the way; the caller's were checked by the
   * kernel on the merged inode), and umask(mask). For a uid other than 0 CAP_FSETID stays out, so that sgid on objects that are
   * made or chmoded follows an unprivileged caller, and that a write, truncate or chown clears suid. `groups`, where
   * given (CallContext.groups), are the thread's supplementary groups meanwhile; without them they stay the daemon's,
   * which should have emptied its own. `asDaemon` undoes all of it. Not for use across an await: the umask is that of
   * all threads, pool threads included, and the rest that of this thread alone. -EPERM: nothing was changed.
   * The kernel turns a process that changes its fsuid undumpable and forgets the calling thread's parent death signal.
   */
  asCaller(uid: number, gid: number, mask: number, groups?: readonly number[]): number;
  asDaemon(): number;
  /** This thread's effective capability set as a bigint mask, and setting it (permitted and inheritable stay). */
  effectiveCapabilities(): bigint;
  setEffectiveCapabilities(mask: bigint): number;
  /**
   * BACKING_OPEN of a regular file that `fd` has open, without CAP_FSETID in this thread's effective set: so that the kernel
   * clears suid on passthrough writes. The next call to which the capability makes a difference puts it back. With `readOnly` it stays if the file lies on a read-only mount: a promise that nobody makes
   * that writable. -EINVAL of anything else, -EBADF of an O_PATH descriptor.
   */
  backingOpenWithoutFsetid(fuseFd: number, fd: number, readOnly?: boolean): number;
  /**
   * Keeps only `mask` in permitted, effective and bounding, inheritable and ambient emptied, for this thread and those
   * it makes later: call it before anything has used the libuv pool, whose threads keep what they started with.
   * -EPERM where the bounding set could not be limited (no CAP_SETPCAP); the other sets are limited then, too.
   */
  limitCapabilities(mask: bigint): number;
  /** The bounding set of this thread as a bigint mask. */
  boundingCapabilities(): bigint;
  /**
   * execve(2): this process becomes another program, under the same pid, with every thread gone. Returns only if
   * that failed. `argv` and `env`: blocks of strings, each ended by a NUL. The new program gets the descriptors below `descriptors`.
   */
  execve(path: string, argv: Uint8Array, env: Uint8Array, descriptors: number): number;
  /**
   * A child in the directory /, with `files` (at most 16) as its descriptors from 0 on. It ignores the signals of the mask `ignored` (bit 0:
   * signal 1), and ends with this thread by `deathSignal` (0: it does not). Blocks as for `execve`. The pid, or the negative errno.
   */
  spawn(path: string, argv: Uint8Array, env: Uint8Array, files: Int32Array, ignored: bigint, deathSignal: number): number;
  /** The exit code of a child that has ended, and is forgotten then; 128 and the number of a signal that ended it; -EAGAIN if it goes on. */
  reap(pid: number): number;
  /**
   * Supplementary groups: none, in every thread. Node's own process.setgroups and setuid throw where its libuv may use
   * io_uring, whose requests keep the rights of the thread that set the ring up: start such a process with UV_USE_IO_URING=0.
   */
  dropGroups(): number;
  /**
   * Supplementary groups (none by default), then all gids, then all uids, in every thread: there is no way back. Stops at the
   * first failure.
   */
  becomeUser(uid: number, gid: number, groups?: readonly number[]): number;
  /**
   * The same for effective ids alone, of this thread alone: a process that root started takes one user after the other, and 0 at the end. The
   * thread pool keeps its own. `real`: for the real ids, too, by which access(2) judges; the user may signal the process meanwhile.
   */
  actAsUser(uid: number, gid: number, groups?: readonly number[], real?: boolean): number;
  /** PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE 0, PR_SET_PDEATHSIG. */
  setNoNewPrivileges(): number;
  setDumpable(on: boolean): number;
  /** _exit(2), with every thread. See `leaveNow`. */
  leave(code: number): never;
  /** For this thread; lost when its fsuid or capabilities change (asCaller): for processes that never act as callers. */
  setParentDeathSignal(signal: number): number;
  /** This thread, and those that it starts later, leave a signal of the process to others, or not. 1 if they did before; -EINVAL: unknown. */
  blockSignal(signal: number, blocked: boolean): number;
  setNofileLimit(soft: number): number;
  nofileLimit(): { soft: number; hard: number };
  umask(mask: number): number;

  // --- other processes and sockets -----------------------------------------------------------------------------
  /** pidfd_open(2); PIDFD_THREAD is tried first, since FUSE gives the thread's id. */
  pidfdOpen(pid: number): number;
  /** 0 while the process of `pidfd` lives, else -ESRCH. */
  pidfdAlive(pidfd: number): number;
  /** Signals the process, also by a pidfd of one of its threads. */
  pidfdSendSignal(pidfd: number, signal: number): number;
  /** SO_PEERCRED of a connected unix socket. */
  peerCredentials(fd: number): PeerCredentials | number;
  /** SO_PEERPIDFD (Linux 6.5): a pidfd of the process that connected; -ESRCH if it has ended. */
  peerPidfd(fd: number): number;
  /** SO_PEERGROUPS: the number of the peer's supplementary groups, which are in `gids` then; -ERANGE if they do not fit. */
  peerGroups(fd: number, gids: Uint32Array): number;
  /** socket, bind, chmod(mode), listen: a listening unix stream socket at `path`. */
  unixListen(path: string, mode: number, backlog: number): number;
  /** Connects to one, as `seqpacketConnect`. */
  unixConnect(path: string): number;
  /** The same of a SOCK_SEQPACKET socket, for `acceptSocket`. */
  seqpacketListen(path: string, mode: number, backlog: number): number;
  /** Connects to one, without waiting: -ENOENT, -ECONNREFUSED if nobody listens, -EAGAIN if too many wait. */
  seqpacketConnect(path: string): number;
  /** A connection that waits at a listening socket, non-blocking and close-on-exec; -EAGAIN if there is none. */
  acceptSocket(fd: number): number;
  /** SO_DOMAIN, SO_TYPE, and SO_ACCEPTCONN: 1 if it listens, else 0. -ENOTSOCK, -EBADF (O_PATH). */
  socketKind(fd: number): SocketKind | number;
  /** An unnamed pair of connected SOCK_SEQPACKET sockets, non-blocking, into `out`. Of a pair of SOCK_STREAM the first alone is. */
  seqpacketPair(out: Int32Array): number;
  streamPair(out: Int32Array): number;
  /**
   * Sends `bytes[0, length)` as one record with `fds[0, count)` (at most 253) beside it; waits up to `timeoutMs` for room.
   * The count of bytes; -EAGAIN (0 ms) or -ETIMEDOUT if there was no room, -EPIPE or -ECONNRESET if the peer is gone. No SIGPIPE.
   */
  sendMessage(socket: number, bytes: Uint8Array, length: number, fds: Int32Array, count: number, timeoutMs: number): number;
  /**
   * Receives one record of up to 65,535 bytes: its length | count of descriptors * 2^16, and 2^32 if more bytes or
   * descriptors came than there is room for; 0 if the peer is gone. The descriptors, close-on-exec, are in `fds` and the
   * caller's in either case; those beyond it (at most 253 come) are dropped. -EAGAIN (0 ms) or -ETIMEDOUT if nothing came.
   */
  receiveMessage(socket: number, bytes: Uint8Array, fds: Int32Array, timeoutMs: number): number;
  /** shutdown(2) with SHUT_WR: the peer sees POLL.RDHUP, and can still send. */
  shutdownSending(socket: number): number;
  /** poll(2) of one descriptor: the POLL bits that are set. Errors and hang-ups are told unasked. */
  pollNow(fd: number, events: number, timeoutMs: number): number;
  /** fcntl(2): F_GETFL (O_PATH, O_APPEND, ...), and F_GETFD: 1 if it is close-on-exec, else 0. */
  statusFlags(fd: number): number;
  descriptorFlags(fd: number): number;
}

/** Which bytes of a buffer, and where in the file. */
export interface ByteRange {
  offset: number;
  length: number;
  position: FileOffset;
}
