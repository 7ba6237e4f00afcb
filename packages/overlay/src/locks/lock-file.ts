/** GETLK, SETLK and SETLKW of an open file, and the release of its locks when it is closed. */
import { type CallContext, Errno, type KernelPort, LOCK, type LockArgs, type ReleaseArgs, type Status } from "@sluice/vfs";
import type { HandleTable, OpenFile } from "../handles/handle-table.js";
import type { Node } from "../node/node.js";
import type { LockTable } from "./lock-table.js";

export interface LockContext {
  readonly handles: HandleTable;
  readonly locks: LockTable<Node>;
  readonly port: KernelPort;
}

/**
 * Fills `args` with a lock that is in the way, or makes its type UNLCK. The kernel asks with UNLCK for a lock of the owner's own
 * (fs/locks.c posix_test_locks_conflict).
 */
export function getLock(core: LockContext, args: LockArgs): Status {
  const file = core.handles.file(args.handle);
  if (file === undefined) return Errno.EBADF;
  const range = rangeOf(args);
  const found = args.type === LOCK.UNLCK ? core.locks.ownIn(file.node, range) : core.locks.inTheWay(file.node, range);
  if (found === undefined) {
    args.type = LOCK.UNLCK;
    return 0;
  }
  args.type = found.write ? LOCK.WRLCK : LOCK.RDLCK;
  args.start = found.start;
  args.end = found.end;
  args.pid = found.pid;
  return 0;
}

export function setLock(core: LockContext, call: CallContext, args: LockArgs): Status {
  const file = core.handles.file(args.handle);
  if (file === undefined) return Errno.EBADF;
  if (args.type === LOCK.UNLCK) return unlock(core, file, args);
  if (args.type !== LOCK.RDLCK && args.type !== LOCK.WRLCK) return Errno.EINVAL;
  if (args.end < args.start) return Errno.EINVAL;
  const caller = args.wait ? call : undefined;
  const write = args.type === LOCK.WRLCK;
  if (args.flock) return core.locks.lockWhole(file.node, { owner: args.owner, handle: args.handle, write }, caller);
  return core.locks.lockRange(file.node, rangeOf(args), caller);
}

function unlock(core: LockContext, file: OpenFile, args: LockArgs): Status {
  const { owner, start, end } = args;
  if (!args.flock) return core.locks.unlockRange(file.node, { owner, start, end });
  core.locks.unlockWhole(file.node, owner);
  return 0;
}

function rangeOf(args: LockArgs): Parameters<LockTable<Node>["lockRange"]>[1] {
  const { owner, handle, pid, start, end } = args;
  return { owner, handle, pid, start, end, write: args.type === LOCK.WRLCK };
}

/**
 * FLUSH: a process closed one descriptor. With locks of the kernel's own there is nothing to do, and ENOSYS tells it to
 * send no more of these: one round trip less with each close.
 */
export function flushFile(core: LockContext, args: ReleaseArgs): Status {
  if (!core.port.negotiated.posixLocks) return Errno.ENOSYS;
  if (core.locks.size === 0) return 0;
  const file = core.handles.file(args.handle);
  return file === undefined ? 0 : core.locks.dropOwner(file.node, args.lockOwner);
}

/**
 * RELEASE: the open file is gone. Every process that had ranges by it has closed it before, so what is left is the file's own.
 * 0; a promise if there are very many.
 */
export function releaseLocks(core: LockContext, file: OpenFile): Status {
  return core.locks.size === 0 ? 0 : core.locks.dropHandle(file.node, file.handle);
}
