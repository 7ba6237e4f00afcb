/** The calls that work on names and on the objects behind them. See binding.ts for their conventions. */

export interface UtimeTimes {
  atimeSec: number;
  atimeNsec: number;
  mtimeSec: number;
  mtimeNsec: number;
}

export interface NameCalls {
  openat(dirfd: number, name: string, flags: number, mode: number): number;
  /** openat2(2): `resolve` are the RESOLVE_ flags. */
  openat2(dirfd: number, path: string, flags: number, mode: number, resolve: number): number;
  openatAsync(dirfd: number, name: string, flags: number, mode: number): Promise<number>;
  close(fd: number): number;
  dupfd(fd: number): number;
  /** Puts `fd` at the number `onto`, whose old file is closed; for standard streams: stays open over exec. */
  dup2(fd: number, onto: number): number;
  /** statx(2) with AT_ flags; fills STAT_WORDS words. `name` "" with AT_EMPTY_PATH stats `dirfd` itself. */
  statx(dirfd: number, name: string, flags: number, words: Uint32Array): number;
  /**
   * statx of a name, without following a link. Of a regular file the last word tells one of its extended attributes, as a signed number:
   * the length, or the negative errno; -ERANGE from 129 bytes on. 1 instead of 0 if it has the attribute `mark`, too; "" asks for none.
   */
  statWithAttribute(dirfd: number, name: string, words: Uint32Array, attribute: string, mark: string): number;
  /**
   * The same of a path, links followed, as far as the kernel knows it without asking a file system (openat2(2) with
   * RESOLVE_CACHED, AT_STATX_DONT_SYNC). -EAGAIN if a name on the way would have to be looked up.
   */
  statCached(path: string, words: Uint32Array): number;
  /** getdents64(2): raw struct linux_dirent64 records; the count of bytes. */
  getdents64(fd: number, bytes: Uint8Array): number;
  mkdirat(dirfd: number, name: string, mode: number): number;
  mknodat(dirfd: number, name: string, mode: number, major: number, minor: number): number;
  symlinkat(target: string, dirfd: number, name: string): number;
  linkat(oldDirfd: number, oldName: string, newDirfd: number, newName: string, flags: number): number;
  unlinkat(dirfd: number, name: string, flags: number): number;
  unlinkatAsync(dirfd: number, name: string, flags: number): Promise<number>;
  renameat2(oldDirfd: number, oldName: string, newDirfd: number, newName: string, flags: number): number;
  /** readlinkat(2); with name "" reads the link that the O_PATH descriptor `dirfd` stands for. The count of bytes. */
  readlinkat(dirfd: number, name: string, bytes: Uint8Array): number;
  /** fchmodat2(2); where the kernel lacks it (before 6.6), by /proc/self/fd of an O_PATH descriptor. flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH. */
  fchmodat(dirfd: number, name: string, mode: number, flags: number): number;
  fchownat(dirfd: number, name: string, uid: number, gid: number, flags: number): number;
  /** utimensat(2); seconds may be negative, nanoseconds may be UTIME_NOW or UTIME_OMIT. name "" needs AT_EMPTY_PATH. */
  utimensat(dirfd: number, name: string, times: UtimeTimes, flags: number): number;
  /** name_to_handle_at(2): fills `handle` with f_handle; the count of bytes | handle type * 2^16, so one call gives both. */
  nameToHandleAt(dirfd: number, name: string, flags: number, handle: Uint8Array): number;
  openByHandleAt(mountFd: number, handleType: number, handle: Uint8Array, flags: number): number;
  /**
   * statx(2) of the object of a handle, and in `path` its path in its mount, if the kernel remembers one: somebody looked it up by name.
   * The count of bytes of the path, which ends there if it does not fit; 0 if it cannot be told.
   */
  statByHandle(mountFd: number, handleType: number, handle: Uint8Array, words: Uint32Array, path: Uint8Array): number;
}
