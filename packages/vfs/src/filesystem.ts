/**
 * The contract between an engine (which brings requests) and a filesystem (which answers them).
 *
 * - A method answers with a status: 0, or a positive errno. It may throw `FsError`, which the engine turns into its
 *   errno. It answers at once, or with a promise where the operation has to wait; an engine must take both, and must
 *   keep `call`, the arguments and `out` untouched until a promise settles.
 * - Results are written into `out` objects that the engine owns and uses again: no allocation on a hot path.
 * - Names and link targets are byte strings (one character = one byte, latin1).
 * - The kernel checks permissions on the attributes it was given (default_permissions), so methods do not.
 */
import type { Attr } from "./attr.js";
import type { CancelSignal } from "./cancellation.js";
import type { FileOffset } from "./kernel-port.js";
import type { DirectoryOut, StatfsOut } from "./out.js";

export type Status = number | Promise<number>;
/** Our handle for an inode in the protocol, separate from `ino`. A safe integer; 1 is the root. */
export type NodeId = number;
/** One open file description. A safe integer. */
export type FileHandle = number;
/** A file name as bytes, one character each. */
export type ByteName = string;

export const ROOT_ID: NodeId = 1;

/** An extended attribute, such as "security.selinux". */
export interface SecurityLabel {
  readonly name: ByteName;
  readonly value: Uint8Array;
}

/** The caller. One per request; valid until its answer. */
export interface CallContext {
  readonly uid: number;
  readonly gid: number;
  /** The caller's thread id in our pid namespace; 0 if it is not visible from there. */
  readonly pid: number;
  /** The engine does not know the caller: uid and gid are the daemon's own. */
  readonly anonymous?: boolean;
  /** The caller that policies see, if this one has the ids that the layers know. Undefined: this one. */
  readonly asker?: CallContext;
  /** Supplementary groups if the kernel sent them with a creation, else undefined. */
  readonly groups: readonly number[] | undefined;
  /** Labels that a security module wants on a new object, else undefined: the object must have them from its first moment. */
  readonly labels?: readonly SecurityLabel[] | undefined;
  /** OPEN with O_TRUNC by a caller without CAP_FSETID: the truncation clears suid and sgid (FUSE_OPEN_KILL_SUIDGID). */
  readonly killSuidgid?: boolean;
  /** The request's record for a later process: see RequestJournal. 0 or undefined: none. */
  readonly journalSlot?: number;
  /** Aborted when the caller was interrupted (FUSE_INTERRUPT). Created when first requested. */
  readonly signal: CancelSignal;
}

export interface EntryOut {
  nodeId: NodeId;
  generation: number;
  entryTtlMs: number;
  attrTtlMs: number;
  readonly attr: Attr;
}
export interface AttrOut {
  attrTtlMs: number;
  readonly attr: Attr;
}
export interface OpenOut {
  handle: FileHandle;
  /** How the kernel does I/O on this handle. */
  mode: "cached" | "direct" | "passthrough" | "passthrough-direct";
  /** Pages of earlier opens may stay (only with mode cached); directories: listing may be cached. */
  keepCache: boolean;
  /** From KernelPort.openBacking; with the passthrough modes only. */
  backingId: number;
}
/** Bytes of a read, link, or attribute. Fill `reserve(size)` from its start and set `length`. */
export interface DataOut {
  reserve(sizeBytes: number): Uint8Array;
  length: number;
}

/** The changes of a setattr; only the fields that are set. */
export interface SetAttr {
  mode: number | undefined;
  uid: number | undefined;
  gid: number | undefined;
  size: FileOffset | undefined;
  /** Seconds and nanoseconds; `nsec` may be UTIME.NOW. */
  atime: { sec: number; nsec: number } | undefined;
  mtime: { sec: number; nsec: number } | undefined;
  handle: FileHandle | undefined;
  /** The caller lacks CAP_FSETID: a size or owner change clears suid and sgid (FATTR_KILL_SUIDGID). */
  killSuidgid: boolean;
}
export interface CreateArgs {
  mode: number;
  umask: number;
  flags: number;
  killSuidgid: boolean;
}
export interface NodeArgs {
  mode: number;
  umask: number /** As StatWord.rdev encodes it. */;
  rdev: number;
}
export interface RenameArgs {
  parent: NodeId;
  name: ByteName;
  newParent: NodeId;
  newName: ByteName;
  flags: number;
}
export interface IoArgs {
  handle: FileHandle;
  offset: FileOffset;
  size: number /** The O_ flags of the open file now. */;
  flags: number;
}
export interface WriteArgs extends IoArgs {
  /** Valid until the answer. */ data: Uint8Array;
  killSuidgid: boolean;
  /** Written back from a page, by whichever open of the inode the kernel found (FUSE_WRITE_CACHE). */
  fromPage: boolean;
  lockOwner: bigint;
}
export interface FallocateArgs {
  handle: FileHandle;
  offset: FileOffset;
  length: FileOffset;
  mode: number;
}
export interface CopyRangeArgs {
  handleIn: FileHandle;
  offsetIn: FileOffset;
  nodeOut: NodeId;
  handleOut: FileHandle;
  offsetOut: FileOffset;
  length: FileOffset;
  flags: number;
}
/** A lock of bytes `start` to `end`, both included; `type` is a LOCK value. */
export interface LockArgs {
  handle: FileHandle;
  /** Stands for the process, or for the open file (F_OFD_SETLK and flock). */
  owner: bigint;
  start: bigint;
  end: bigint;
  type: number;
  pid: number;
  wait: boolean;
  flock: boolean;
}
export interface ReaddirArgs {
  handle: FileHandle;
  offset: FileOffset /** With attributes: READDIRPLUS. */;
  plus: boolean;
}
export interface ReleaseArgs {
  handle: FileHandle;
  flags: number;
  lockOwner: bigint;
  flockRelease: boolean;
}
export interface XattrSetArgs {
  name: string;
  value: Uint8Array;
  flags: number /** Posix ACL set by one who is not in the owning group. */;
  killSgid: boolean;
}
export interface IoctlArgs {
  handle: FileHandle;
  command: number;
  input: Uint8Array;
}

/** The operations of a filesystem; an engine asks the kernel for no more than this. */
export interface Filesystem {
  /** `name` may be "." or "..": then `parent` is a node of a file handle, perhaps forgotten. ESTALE if it cannot be found. */
  lookup(call: CallContext, parent: NodeId, name: ByteName, out: EntryOut): Status;
  /** The kernel dropped `count` references to `node`. Gets no answer, and never fails. */
  forget(node: NodeId, count: number): void;
  getattr(call: CallContext, node: NodeId, handle: FileHandle | undefined, out: AttrOut): Status;
  setattr(call: CallContext, node: NodeId, set: SetAttr, out: AttrOut): Status;
  readlink(call: CallContext, node: NodeId, out: DataOut): Status;
  mknod(call: CallContext, at: { parent: NodeId; name: ByteName }, args: NodeArgs, out: EntryOut): Status;
  mkdir(call: CallContext, at: { parent: NodeId; name: ByteName }, args: NodeArgs, out: EntryOut): Status;
  symlink(call: CallContext, at: { parent: NodeId; name: ByteName }, target: ByteName, out: EntryOut): Status;
  link(call: CallContext, node: NodeId, at: { parent: NodeId; name: ByteName }, out: EntryOut): Status;
  unlink(call: CallContext, parent: NodeId, name: ByteName): Status;
  rmdir(call: CallContext, parent: NodeId, name: ByteName): Status;
  rename(call: CallContext, args: RenameArgs): Status;
  open(call: CallContext, node: NodeId, flags: number, out: OpenOut): Status;
  create(call: CallContext, at: { parent: NodeId; name: ByteName }, args: CreateArgs, out: { entry: EntryOut; open: OpenOut }): Status;
  /** O_TMPFILE in directory `parent`. */
  tmpfile(call: CallContext, parent: NodeId, args: CreateArgs, out: { entry: EntryOut; open: OpenOut }): Status;
  read(call: CallContext, node: NodeId, args: IoArgs, out: DataOut): Status;
  /** `out.length` is the count of bytes written. */
  write(call: CallContext, node: NodeId, args: WriteArgs, out: { length: number }): Status;
  /** close(2) of one descriptor of the handle: POSIX locks of `args.lockOwner` end. ENOSYS: a close never needs work here. */
  flush(call: CallContext, node: NodeId, args: ReleaseArgs): Status;
  /** Last close. The kernel ignores the status. */
  release(call: CallContext, node: NodeId, args: ReleaseArgs): Status;
  /**
   * F_GETLK: fills `args` with a lock that conflicts with the described one, or makes its type UNLCK. This and `setlk`
   * come only with `Negotiated.posixLocks`.
   */
  getlk(call: CallContext, node: NodeId, args: LockArgs): Status;
  /** F_SETLK, F_SETLKW (`args.wait`) and flock(2) (`args.flock`). EAGAIN if a lock conflicts, EDEADLK, EINTR. */
  setlk(call: CallContext, node: NodeId, args: LockArgs): Status;
  fsync(call: CallContext, node: NodeId, handle: FileHandle, dataOnly: boolean): Status;
  fallocate(call: CallContext, node: NodeId, args: FallocateArgs): Status;
  /** SEEK_DATA and SEEK_HOLE. */
  lseek(
    call: CallContext,
    node: NodeId,
    args: { handle: FileHandle; offset: FileOffset; whence: number },
    out: { offset: FileOffset },
  ): Status;
  copyFileRange(call: CallContext, node: NodeId, args: CopyRangeArgs, out: { length: number }): Status;
  opendir(call: CallContext, node: NodeId, flags: number, out: OpenOut): Status;
  readdir(call: CallContext, node: NodeId, args: ReaddirArgs, out: DirectoryOut): Status;
  releasedir(call: CallContext, node: NodeId, handle: FileHandle): Status;
  fsyncdir(call: CallContext, node: NodeId, handle: FileHandle, dataOnly: boolean): Status;
  /** size 0 asks how long the value is: set out.length and reserve nothing. ERANGE if it is longer than `size`. */
  getxattr(call: CallContext, node: NodeId, args: { name: string; size: number }, out: DataOut): Status;
  setxattr(call: CallContext, node: NodeId, args: XattrSetArgs): Status;
  listxattr(call: CallContext, node: NodeId, size: number, out: DataOut): Status;
  removexattr(call: CallContext, node: NodeId, name: string): Status;
  statfs(call: CallContext, node: NodeId, out: StatfsOut): Status;
  syncfs(call: CallContext, node: NodeId): Status;
  /** FS_IOC_GETFLAGS and the like: `out` is the ioctl's output. ENOTTY for an unknown one. */
  ioctl(call: CallContext, node: NodeId, args: IoctlArgs, out: DataOut): Status;
  /** The connection ended: close everything, hold no descriptor. At once, or when it resolves. */
  destroy(): void | Promise<void>;
}
