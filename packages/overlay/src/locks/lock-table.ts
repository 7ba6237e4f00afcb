/**
 * All locks of a mount, and who waits for which. Locks belong to the file and not to the nodeId it is known by, since a
 * file can have two: a reader goes on under the old one after a copy-up. Hence the kernel's own tables will not do.
 *
 * POSIX waits are looked at for deadlocks, over all files, as in fs/locks.c posix_locks_deadlock. The kernel does not say
 * whether a range is the process' or the open file's (F_OFD_SETLK): unlike there, waits of open files are looked at too.
 */
import { type CallContext, Errno } from "@sluice/vfs";
import { FileLocks, type LockNotes, type RangeLock, type WholeLock } from "./file-locks.js";

/** Whoever waits, until he is interrupted. */
type Caller = Pick<CallContext, "signal">;

type Wanted = { readonly kind: "range"; readonly lock: RangeLock } | { readonly kind: "whole"; readonly lock: WholeLock };

interface Waiter {
  readonly wanted: Wanted;
  readonly locks: FileLocks;
  readonly settle: (errno: number) => void;
}

interface Locked {
  readonly locks: FileLocks;
  /** In the order in which they came. */
  readonly waiters: Set<Waiter>;
}

/** `File` stands for a file: whatever object is the same for all of its nodeIds. */
export class LockTable<File extends object> {
  readonly #files = new Map<File, Locked>();
  readonly #notesOf: ((file: File) => LockNotes) | undefined;
  /** Waits for ranges by who waits: a process has several where its threads wait. */
  readonly #waits = new Map<bigint, Set<Waiter>>();

  /** `notesOf`: where it is written down who holds what. */
  constructor(notesOf?: (file: File) => LockNotes) {
    this.#notesOf = notesOf;
  }

  /** A lock that was held before: nothing is in its way. */
  restore(file: File, lock: RangeLock & { whole: boolean }): void {
    const locked = this.#files.get(file) ?? this.#none(file);
    this.#files.set(file, locked);
    if (lock.whole) locked.locks.takeWhole(lock);
    else locked.locks.take(lock);
  }

  #none(file: File): Locked {
    return { locks: new FileLocks(this.#notesOf?.(file)), waiters: new Set() };
  }

  /** Files with locks or waiters. */
  get size(): number {
    return this.#files.size;
  }

  /** F_GETLK: a lock that is in the way of this one. */
  inTheWay(file: File, wanted: RangeLock): RangeLock | undefined {
    return this.#files.get(file)?.locks.conflict(wanted);
  }

  /** Takes a range: 0, EAGAIN, or for a `caller` who waits a promise: 0 once it is free, EINTR where he is interrupted, EDEADLK where it never would be. */
  lockRange(file: File, lock: RangeLock, caller: Caller | undefined): number | Promise<number> {
    return this.#lock(file, { kind: "range", lock }, caller);
  }

  unlockRange(file: File, range: Pick<RangeLock, "owner" | "start" | "end">): void {
    const locked = this.#files.get(file);
    if (locked?.locks.drop(range) === true) this.#wake(file, locked);
  }

  /**
   * flock(2). A lock of the other kind is given up first, so that one who wants more than he has may end up with
   * nothing: fs/locks.c flock_lock_inode has it so.
   */
  lockWhole(file: File, lock: WholeLock, caller: Caller | undefined): number | Promise<number> {
    const held = this.#files.get(file)?.locks.whole(lock.owner);
    if (held?.write === lock.write) return 0;
    if (held !== undefined) this.unlockWhole(file, lock.owner);
    return this.#lock(file, { kind: "whole", lock }, caller);
  }

  unlockWhole(file: File, owner: bigint): void {
    const locked = this.#files.get(file);
    if (locked?.locks.dropWhole(owner) === true) this.#wake(file, locked);
  }

  /** A process closed one of its descriptors of the file: that ends all its ranges, by whichever it took them. */
  dropOwner(file: File, owner: bigint): void {
    const locked = this.#files.get(file);
    if (locked?.locks.dropOwner(owner) === true) this.#wake(file, locked);
  }

  dropHandle(file: File, handle: number): void {
    const locked = this.#files.get(file);
    if (locked?.locks.dropHandle(handle) === true) this.#wake(file, locked);
  }

  #lock(file: File, wanted: Wanted, caller: Caller | undefined): number | Promise<number> {
    const locked = this.#files.get(file) ?? this.#none(file);
    if (isFree(locked.locks, wanted)) {
      this.#files.set(file, locked);
      take(locked.locks, wanted);
      // A range that turned from write to read lets others in.
      this.#wake(file, locked);
      return 0;
    }
    if (caller === undefined) return Errno.EAGAIN;
    const { signal } = caller;
    if (signal.aborted) return Errno.EINTR;
    if (this.#wouldDeadlock(locked, wanted)) return Errno.EDEADLK;
    return this.#wait(file, locked, { wanted, signal });
  }

  #wait(file: File, locked: Locked, wish: { wanted: Wanted; signal: AbortSignal }): Promise<number> {
    const { wanted, signal } = wish;
    return new Promise((resolve) => {
      const waiter: Waiter = {
        wanted,
        locks: locked.locks,
        settle: (errno) => {
          locked.waiters.delete(waiter);
          this.#countWait(waiter, -1);
          signal.removeEventListener("abort", interrupted);
          resolve(errno);
        },
      };
      const interrupted = (): void => {
        waiter.settle(Errno.EINTR);
        this.#forgetIfIdle(file, locked);
      };
      signal.addEventListener("abort", interrupted);
      locked.waiters.add(waiter);
      this.#countWait(waiter, 1);
    });
  }

  /** Something was let go: whoever is free now gets what he waits for, until nobody is. */
  #wake(file: File, locked: Locked): void {
    for (let again = locked.waiters.size > 0; again; ) {
      again = false;
      for (const waiter of [...locked.waiters]) {
        if (isFree(locked.locks, waiter.wanted)) {
          take(locked.locks, waiter.wanted);
          again = true;
          waiter.settle(0);
        } else if (this.#wouldDeadlock(locked, waiter.wanted, waiter)) {
          waiter.settle(Errno.EDEADLK);
        }
      }
    }
    this.#forgetIfIdle(file, locked);
  }

  #forgetIfIdle(file: File, locked: Locked): void {
    if (locked.locks.empty && locked.waiters.size === 0 && this.#files.get(file) === locked) this.#files.delete(file);
  }

  /** Does somebody in the way wait, himself or through others, for the one who asks? */
  #wouldDeadlock(locked: Locked, wanted: Wanted, self?: Waiter): boolean {
    if (wanted.kind === "whole") return false;
    const { owner } = wanted.lock;
    const open = [...locked.locks.blockers(wanted.lock)];
    const seen = new Set<bigint>();
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next === owner) return true;
      if (seen.has(next)) continue;
      seen.add(next);
      open.push(...this.#waitedForBy(next, self));
    }
    return false;
  }

  /** Whom an owner's waits are for. */
  *#waitedForBy(owner: bigint, except: Waiter | undefined): IterableIterator<bigint> {
    for (const waiter of this.#waits.get(owner) ?? []) {
      if (waiter !== except && waiter.wanted.kind === "range") yield* waiter.locks.blockers(waiter.wanted.lock);
    }
  }

  #countWait(waiter: Waiter, change: 1 | -1): void {
    if (waiter.wanted.kind !== "range") return;
    const { owner } = waiter.wanted.lock;
    const waits = this.#waits.get(owner) ?? new Set();
    if (change === 1) this.#waits.set(owner, waits.add(waiter));
    else if (waits.delete(waiter) && waits.size === 0) this.#waits.delete(owner);
  }
}

function isFree(locks: FileLocks, wanted: Wanted): boolean {
  return wanted.kind === "range" ? locks.conflict(wanted.lock) === undefined : !locks.wholeConflict(wanted.lock);
}

function take(locks: FileLocks, wanted: Wanted): void {
  if (wanted.kind === "range") locks.take(wanted.lock);
  else locks.takeWhole(wanted.lock);
}
