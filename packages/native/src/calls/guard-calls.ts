/** Memory that outlives a process, and privileges that a process gives up. See binding.ts for their conventions. */

export interface GuardCalls {
  /** memfd_create(2), close-on-exec and sealable. `name` shows in /proc only. */
  memoryFile(name: string): number;
  /** F_ADD_SEALS and F_GET_SEALS (SEAL flags); -EINVAL if it is no memory file. */
  addSeals(fd: number, seals: number): number;
  sealsOf(fd: number): number;
  /**
   * Maps `length` bytes of `fd` shared. A file truncated below the mapping ends the process at the next access. `populated`: all of it
   * is read now, and a part that cannot be read (there is no file behind it) is -EFAULT instead.
   */
  mapShared(fd: number, length: number, writable: boolean, populated?: boolean): Mapping | number;
  /**
   * Maps `fd` shared in place of the memory of `place`, whole pages (-EINVAL) that are used by nothing else; as with `mapShared`, the file
   * must not shrink. With a negative `fd` the place gets zeroed memory of nobody, so that a late access does no harm.
   */
  mapOver(place: Uint8Array, fd: number): number;
  /**
   * From now on this process gets `signal` when `parentPid`, which must be its parent (-ESRCH), ends. It does so by a thread of its own, so
   * the process may act as a caller, be stopped, or have a busy loop.
   */
  dieWithParent(signal: number, parentPid: number): number;
  /** Whether this process may have so many threads more (-EAGAIN). They are gone when it returns. */
  roomForThreads(count: number): number;
  /**
   * Forbids all threads of this process, for good, the calls that CAP_SYS_ADMIN opens and a server never needs: mounting
   * of every kind, namespaces, ptrace, bpf, kexec, modules, ... (EPERM; clone3: ENOSYS). Needs no_new_privs or CAP_SYS_ADMIN. -EOPNOTSUPP on
   * an architecture that the filter does not know.
   */
  forbidMounting(): number;
}

export interface Mapping {
  bytes: Buffer;
  unmap(): number;
}
