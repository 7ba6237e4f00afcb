/**
 * All locks of a mount, and their waiters. Locks belong to the file, not to its nodeId, since a file can have two: a reader
 * continues under the old one after a copy-up. Hence the kernel's own tables will not do.
 *
 * POSIX waits are looked at for deadlocks, over all files, as in fs/locks.c posix_locks_deadlock. The kernel does not say
 * whether a range is the process' or the open file's (F_OFD_SETLK): unlike there, waits of open files are looked at too.
 */
import { type CallContext, type CancelSignal, Errno, inTurns, type Status } from "@sluice/vfs";
import { around, FileLocks, LAST_BYTE, type LockNotes, type OwnedSpan, type RangeLock, type Span, type WholeLock } from "./file-locks.js";
import { type Range, RangeIndex } from "./range-index.js";

/** A caller that waits until it is interrupted. */
type Caller = Pick<CallContext, "signal">;

type Wanted = { readonly kind: "range"; readonly lock: RangeLock } | { readonly kind: "whole"; readonly lock: WholeLock };

/** The range that a waiter wants; for a lock of the whole file, all of it. */
interface Waiter extends Range {
  readonly wanted: Wanted;
  readonly locks: FileLocks;
  readonly answer: (errno: number) => void;
  answered: boolean;
}

interface Locked {
  readonly locks: FileLocks;
  readonly ranges: RangeIndex<Waiter>;
  /** In the order in which they came. */
  readonly wholes: Set<Waiter>;
  waiters: number;
  /** Changed ranges whose waiters were not looked at yet. */
  news: News | undefined;
  waking: boolean;
}

/** Waiters for ranges in `span`, and for the whole file, may be free now. */
interface News {
  span: Span | undefined;
  whole: boolean;
  /** One who waits took some of it: a circle of waits may have closed. */
  taken: boolean;
}

/** Locks that a search for a deadlock looks at, and waits of one owner; fs/locks.c gives up after ten. */
const MAX_LOOKS = 4096;
const MAX_WAITS = 256;
/** Waiters: a few are woken in the very turn in which a lock is let go. */
const LOOKED_AT_ONCE = 16;
/** Ranges of one owner that are dropped in one step: less than a millisecond's work. */
const DROPPED_AT_ONCE = 64;

/** `File` stands for a file: whatever object is the same for all of its nodeIds. */
export class LockTable<File extends object> {
  readonly #files = new Map<File, Locked>();
  readonly #notesOf: ((file: File) => LockNotes) | undefined;
  /** Waits for ranges, by owner. A process has several if several of its threads wait. */
  readonly #waits = new Map<bigint, Set<Waiter>>();
  #waiters = 0;

  /** `notesOf` gives the place where a file's locks are written down. */
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
    const locks = new FileLocks(this.#notesOf?.(file));
    return { locks, ranges: new RangeIndex(), wholes: new Set(), waiters: 0, news: undefined, waking: false };
  }

  /** Files with locks or waiters. */
  get size(): number {
    return this.#files.size;
  }

  /** F_GETLK: a lock that is in the way of this one. */
  inTheWay(file: File, wanted: RangeLock): RangeLock | undefined {
    return this.#files.get(file)?.locks.firstInTheWay(wanted);
  }

  /** F_OFD_GETLK with F_UNLCK: a lock of the owner's own in this range. */
  ownIn(file: File, range: OwnedSpan): RangeLock | undefined {
    return this.#files.get(file)?.locks.firstOwn(range);
  }

  /** Takes a range: 0 or EAGAIN. For a `caller` that waits, a promise: 0 once it is free, EINTR, or EDEADLK if that would be never. */
  lockRange(file: File, lock: RangeLock, caller: Caller | undefined): number | Promise<number> {
    return this.#lock(file, { kind: "range", lock }, caller);
  }

  /** 0; a promise if the owner has very many locks there. */
  unlockRange(file: File, range: OwnedSpan): Status {
    return this.#drop(file, (locks) => locks.drop(range, DROPPED_AT_ONCE));
  }

  /**
   * flock(2). A lock of the other kind is given up first, so a caller that wants more than it has may end up with
   * nothing, as in fs/locks.c flock_lock_inode.
   */
  lockWhole(file: File, lock: WholeLock, caller: Caller | undefined): number | Promise<number> {
    const held = this.#files.get(file)?.locks.whole(lock.owner);
    if (held?.write === lock.write) return 0;
    if (held !== undefined) this.unlockWhole(file, lock.owner);
    return this.#lock(file, { kind: "whole", lock }, caller);
  }

  unlockWhole(file: File, owner: bigint): void {
    const locked = this.#files.get(file);
    if (locked?.locks.dropWhole(owner) === true) this.#freed(file, locked, undefined, true);
  }

  /**
   * A process closed one of its descriptors of the file: that ends all its ranges, by whichever it took them. 0; a promise if
   * there are very many.
   */
  dropOwner(file: File, owner: bigint): Status {
    return this.unlockRange(file, { owner, start: 0n, end: LAST_BYTE });
  }

  /** An open file is closed: its flock and its own ranges (F_OFD_SETLK) end. 0; a promise if there are very many. */
  dropHandle(file: File, handle: number): Status {
    const locked = this.#files.get(file);
    if (locked?.locks.dropWholeBy(handle) === true) this.#freed(file, locked, undefined, true);
    return this.#drop(file, (locks) => locks.dropRangesBy(handle, DROPPED_AT_ONCE));
  }

  /** Calls `some`, which drops some ranges and gives the range that they span, until it finds none. */
  #drop(file: File, some: (locks: FileLocks) => Span | undefined): Status {
    const locked = this.#files.get(file);
    const first = locked && some(locked.locks);
    if (locked === undefined || first === undefined) return 0;
    this.#freed(file, locked, first);
    const second = some(locked.locks);
    return second === undefined ? 0 : inTurns(this.#dropRest(file, locked, { next: second, some }));
  }

  *#dropRest(
    file: File,
    locked: Locked,
    { next, some }: { next: Span | undefined; some: (locks: FileLocks) => Span | undefined },
  ): Generator<void, number> {
    for (let span = next; span !== undefined; span = some(locked.locks)) {
      this.#freed(file, locked, span);
      yield;
    }
    return 0;
  }

  #lock(file: File, wanted: Wanted, caller: Caller | undefined): number | Promise<number> {
    const locked = this.#files.get(file) ?? this.#none(file);
    if (isFree(locked.locks, wanted)) {
      this.#files.set(file, locked);
      this.#take(locked, wanted);
      this.#wake(file, locked);
      return 0;
    }
    if (caller === undefined) return Errno.EAGAIN;
    const { signal } = caller;
    if (signal.aborted) return Errno.EINTR;
    if (this.#wouldDeadlock(locked.locks, wanted)) return Errno.EDEADLK;
    return this.#wait(file, locked, { wanted, signal });
  }

  #take(locked: Locked, wanted: Wanted): void {
    if (wanted.kind === "whole") return locked.locks.takeWhole(wanted.lock);
    const { lock } = wanted;
    const weaker = locked.locks.take(lock);
    // As a lock changes hands, a circle closes if its new owner waits for something else: another thread of a process does.
    const taken = this.#waits.has(lock.owner);
    if (weaker || taken) tell(locked, { span: lock, whole: false, taken });
  }

  #wait(file: File, locked: Locked, request: { wanted: Wanted; signal: CancelSignal }): Promise<number> {
    const { wanted, signal } = request;
    const { start, end } = wanted.kind === "range" ? wanted.lock : { start: 0n, end: 0n };
    return new Promise((resolve) => {
      const waiter: Waiter = {
        wanted,
        locks: locked.locks,
        owner: wanted.lock.owner,
        start,
        end,
        order: ++this.#waiters,
        leaves: false,
        answered: false,
        answer: (errno) => {
          waiter.answered = true;
          this.#leave(locked, waiter);
          signal.removeEventListener("abort", interrupted);
          resolve(errno);
        },
      };
      const interrupted = (): void => {
        waiter.answer(Errno.EINTR);
        this.#forgetIfIdle(file, locked);
      };
      signal.addEventListener("abort", interrupted);
      this.#join(locked, waiter);
    });
  }

  #join(locked: Locked, waiter: Waiter): void {
    locked.waiters++;
    if (waiter.wanted.kind === "whole") {
      locked.wholes.add(waiter);
      return;
    }
    locked.ranges.add(waiter);
    this.#waits.set(waiter.owner, (this.#waits.get(waiter.owner) ?? new Set()).add(waiter));
  }

  #leave(locked: Locked, waiter: Waiter): void {
    locked.waiters--;
    if (waiter.wanted.kind === "whole") {
      locked.wholes.delete(waiter);
      return;
    }
    locked.ranges.remove([waiter]);
    const waits = this.#waits.get(waiter.owner);
    if (waits?.delete(waiter) === true && waits.size === 0) this.#waits.delete(waiter.owner);
  }

  #freed(file: File, locked: Locked, span: Span | undefined, whole = false): void {
    if (span !== undefined || whole) tell(locked, { span, whole, taken: false });
    this.#wake(file, locked);
  }

  /** Grants waiters their locks in the order of arrival, in turns of the event loop, since there may be many. */
  #wake(file: File, locked: Locked): void {
    if (locked.waking) return;
    if (locked.news === undefined) return this.#forgetIfIdle(file, locked);
    locked.waking = true;
    const woken = inTurns(this.#lookAtWaiters(locked));
    // A lock can be let go between the last look and this continuation: that is news as well.
    const finish = (): void => {
      locked.waking = false;
      this.#wake(file, locked);
    };
    if (woken instanceof Promise) void woken.then(finish);
    else finish();
  }

  *#lookAtWaiters(locked: Locked): Generator<void, undefined> {
    for (let { news } = locked; news !== undefined; news = locked.news) {
      locked.news = undefined;
      const inSpan = news.span === undefined ? [] : [...locked.ranges.overlapping(news.span)];
      const waiters = [...inSpan.sort((a, b) => a.order - b.order), ...(news.whole ? locked.wholes : [])];
      for (const [at, waiter] of waiters.entries()) {
        if (at % LOOKED_AT_ONCE === LOOKED_AT_ONCE - 1) yield;
        this.#lookAt(locked, waiter, news.taken);
      }
    }
  }

  #lookAt(locked: Locked, waiter: Waiter, taken: boolean): void {
    if (waiter.answered) return;
    if (isFree(locked.locks, waiter.wanted)) {
      waiter.answer(0);
      this.#take(locked, waiter.wanted);
    } else if (taken && this.#wouldDeadlock(locked.locks, waiter.wanted, waiter)) {
      waiter.answer(Errno.EDEADLK);
    }
  }

  #forgetIfIdle(file: File, locked: Locked): void {
    if (locked.locks.empty && locked.waiters === 0 && this.#files.get(file) === locked) this.#files.delete(file);
  }

  /** Does an owner in the way wait, directly or through others, for the caller? */
  #wouldDeadlock(locks: FileLocks, wanted: Wanted, self?: Waiter): boolean {
    if (wanted.kind === "whole" || this.#waits.size === 0) return false;
    const seen = new Set<bigint>();
    const open = [locks.inTheWay(wanted.lock)];
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const blocker = open[open.length - 1]?.next();
      if (blocker === undefined) return false;
      if (blocker.done === true) {
        open.pop();
        continue;
      }
      const { owner } = blocker.value;
      if (owner === wanted.lock.owner) return true;
      if (!seen.has(owner)) open.push(...this.#waitedForBy(owner, self));
      seen.add(owner);
    }
    return false;
  }

  /** The owners in the way of an owner's waits. */
  *#waitedForBy(owner: bigint, except: Waiter | undefined): IterableIterator<IterableIterator<RangeLock>> {
    let waits = 0;
    for (const waiter of this.#waits.get(owner) ?? []) {
      if (waiter !== except && waiter.wanted.kind === "range") yield waiter.locks.inTheWay(waiter.wanted.lock);
      if (++waits === MAX_WAITS) return;
    }
  }
}

function isFree(locks: FileLocks, wanted: Wanted): boolean {
  return wanted.kind === "range" ? locks.isFree(wanted.lock) : locks.wholeIsFree(wanted.lock);
}

function tell(locked: Locked, news: News): void {
  if (locked.waiters === 0) return;
  const { news: before } = locked;
  locked.news = {
    span: before?.span === undefined ? news.span : news.span === undefined ? before.span : around(before.span, news.span),
    whole: news.whole || before?.whole === true,
    taken: news.taken || before?.taken === true,
  };
}
