/**
 * The advisory locks of one file: POSIX byte ranges and flock(2), which know nothing of each other. A data structure
 * with the rules of fs/locks.c. Waiting is the business of lock-table.ts.
 *
 * A process may have as many ranges as it likes, so each request costs a search, not a walk over all of them.
 */
import { type Range, RangeIndex } from "./range-index.js";

/** A range that one owner holds. `end` is its last byte. */
export interface RangeLock {
  readonly owner: bigint;
  /** The open file it was last taken by: its release takes the lock along. */
  readonly handle: number;
  readonly pid: number;
  readonly write: boolean;
  readonly start: bigint;
  readonly end: bigint;
}

/** A lock of a whole file; its owner is the open file description. */
export interface WholeLock {
  readonly owner: bigint;
  readonly handle: number;
  readonly write: boolean;
}

export type Span = Pick<RangeLock, "start" | "end">;
export type OwnedSpan = Pick<RangeLock, "owner" | "start" | "end">;

/** Of the largest file. */
export const LAST_BYTE = (1n << 63n) - 1n;

/** Is told of each lock that is held from now on, before the locks that it replaces are dropped. */
export interface LockNotes {
  /** The number of the note, for `gone`. */
  range(lock: RangeLock): number;
  whole(lock: WholeLock): number;
  gone(note: number): void;
}

interface HeldRange extends RangeLock, Range {
  note: number;
}

interface HeldWhole extends WholeLock {
  note: number;
}

/** The locks of one owner. */
interface Owned {
  /** Its place in the order of arrival, by which F_GETLK finds the first owner in the way. */
  readonly order: number;
  /** None overlaps another. */
  readonly ranges: RangeIndex<HeldRange>;
  /** Open files by which it took a lock. */
  readonly handles: Set<number>;
}

/** F_GETLK looks for the first owner in the way among so many ranges. */
const MAX_COMPARED = 1024;

export class FileLocks {
  readonly #notes: LockNotes | undefined;
  readonly #owned = new Map<bigint, Owned>();
  readonly #reads = new RangeIndex<HeldRange>();
  readonly #writes = new RangeIndex<HeldRange>();
  readonly #whole = new Map<bigint, HeldWhole>();
  /** Owners who took something by an open file. */
  readonly #byHandle = new Map<number, Set<bigint>>();
  #owners = 0;

  constructor(notes?: LockNotes) {
    this.#notes = notes;
  }

  get empty(): boolean {
    return this.#owned.size === 0 && this.#whole.size === 0;
  }

  /** Ranges of others in the way of `wanted`. */
  *inTheWay(wanted: RangeLock): IterableIterator<RangeLock> {
    yield* this.#writes.overlapping(wanted, wanted.owner);
    if (wanted.write) yield* this.#reads.overlapping(wanted, wanted.owner);
  }

  isFree(wanted: RangeLock): boolean {
    return this.inTheWay(wanted).next().done === true;
  }

  /** The range in the way whose owner came first. */
  firstInTheWay(wanted: RangeLock): RangeLock | undefined {
    let first: HeldRange | undefined;
    let compared = 0;
    for (const held of this.inTheWay(wanted) as IterableIterator<HeldRange>) {
      if (first === undefined || held.order < first.order || (held.order === first.order && held.start < first.start)) first = held;
      if (++compared === MAX_COMPARED) break;
    }
    return first;
  }

  firstOwn(range: OwnedSpan): RangeLock | undefined {
    return first(1, this.#owned.get(range.owner)?.ranges.overlapping(range) ?? [])[0];
  }

  /**
   * Takes a range that nothing is in the way of. It replaces the owner's locks there, and neighbours of one kind are joined.
   * True if a lock for writing became weaker somewhere.
   */
  take(wanted: RangeLock): boolean {
    const { owner, handle, pid, write } = wanted;
    const owned = this.#ownedBy(owner);
    let { start, end } = wanted;
    const made: HeldRange[] = [];
    const near = [...owned.ranges.overlapping({ start: start - 1n, end: end + 1n })];
    const gone = near.filter((held, at) => held.write === write || !isEnd(near, at) || overlaps(held, wanted));
    // Only the first and the last may be longer than the range that is taken.
    for (const held of new Set([near[0], near[near.length - 1]])) {
      if (held?.write === write) {
        if (held.start < start) start = held.start;
        if (held.end > end) end = held.end;
      } else if (held !== undefined && overlaps(held, wanted)) made.push(...cut(held, wanted));
    }
    made.push({ owner, handle, pid, write, start, end, order: owned.order, note: 0, leaves: false });
    this.#replace(owner, owned, gone, made);
    this.#takenBy(owner, handle, owned);
    return !write && gone.some((held) => held.write);
  }

  /** Drops the owner's locks there, the first `most` of them. Gives the range that they span; undefined if there are none. */
  drop(range: OwnedSpan, most: number): Span | undefined {
    const owned = this.#owned.get(range.owner);
    if (owned === undefined) return undefined;
    const gone = first(most, owned.ranges.overlapping(range));
    const made = [...new Set([gone[0], gone[gone.length - 1]])].flatMap((held) => (held === undefined ? [] : cut(held, range)));
    return this.#replace(range.owner, owned, gone, made);
  }

  /** Drops the flock that was taken by an open file. True if there was one. */
  dropWholeBy(handle: number): boolean {
    for (const owner of this.#byHandle.get(handle) ?? []) if (this.#whole.get(owner)?.handle === handle) return this.dropWhole(owner);
    return false;
  }

  /** Drops ranges that were taken by an open file, `most` of one owner. Gives the range that they span; undefined if there are none. */
  dropRangesBy(handle: number, most: number): Span | undefined {
    for (const owner of this.#byHandle.get(handle) ?? []) {
      const owned = this.#owned.get(owner);
      const gone = owned === undefined ? [] : first(most, takenBy(handle, owned.ranges.all()));
      if (owned !== undefined && gone.length > 0) return this.#replace(owner, owned, gone, []);
    }
    this.#byHandle.delete(handle);
    return undefined;
  }

  whole(owner: bigint): WholeLock | undefined {
    return this.#whole.get(owner);
  }

  wholeIsFree(wanted: WholeLock): boolean {
    const others = this.#whole.size - (this.#whole.has(wanted.owner) ? 1 : 0);
    if (others === 0) return true;
    if (wanted.write) return false;
    // An exclusive lock is the only one.
    for (const [owner, held] of this.#whole) return owner === wanted.owner || !held.write;
    return true;
  }

  takeWhole(wanted: WholeLock): void {
    const before = this.#whole.get(wanted.owner);
    const { owner, handle, write } = wanted;
    this.#whole.set(owner, { owner, handle, write, note: this.#notes?.whole(wanted) ?? 0 });
    this.#takenBy(owner, handle);
    if (before !== undefined) this.#notes?.gone(before.note);
  }

  dropWhole(owner: bigint): boolean {
    const before = this.#whole.get(owner);
    if (before === undefined) return false;
    this.#whole.delete(owner);
    this.#leaves(owner, [before.handle]);
    this.#notes?.gone(before.note);
    return true;
  }

  #ownedBy(owner: bigint): Owned {
    let owned = this.#owned.get(owner);
    if (owned === undefined) {
      owned = { order: ++this.#owners, ranges: new RangeIndex(), handles: new Set() };
      this.#owned.set(owner, owned);
    }
    return owned;
  }

  #takenBy(owner: bigint, handle: number, owned?: Owned): void {
    owned?.handles.add(handle);
    const owners = this.#byHandle.get(handle);
    if (owners === undefined) this.#byHandle.set(handle, new Set([owner]));
    else owners.add(owner);
  }

  /** The owner has no locks left that it took by these open files. */
  #leaves(owner: bigint, handles: Iterable<number>): void {
    if (this.#owned.has(owner) || this.#whole.has(owner)) return;
    for (const handle of handles) {
      const owners = this.#byHandle.get(handle);
      if (owners?.delete(owner) === true && owners.size === 0) this.#byHandle.delete(handle);
    }
  }

  /** Gives the range from the first byte of the gone locks to their last. */
  #replace(owner: bigint, owned: Owned, gone: readonly HeldRange[], made: readonly HeldRange[]): Span | undefined {
    for (const held of made) held.note = this.#notes?.range(held) ?? 0;
    owned.ranges.remove(gone);
    this.#reads.remove(gone.filter((held) => !held.write));
    this.#writes.remove(gone.filter((held) => held.write));
    for (const held of made) {
      owned.ranges.add(held);
      (held.write ? this.#writes : this.#reads).add(held);
    }
    if (owned.ranges.isEmpty) {
      this.#owned.delete(owner);
      this.#leaves(owner, owned.handles);
    }
    if (this.#notes !== undefined) for (const held of gone) this.#notes.gone(held.note);
    return spanOf(gone);
  }
}

function* takenBy(handle: number, ranges: Iterable<HeldRange>): Generator<HeldRange, void> {
  for (const held of ranges) if (held.handle === handle) yield held;
}

function first<T>(most: number, items: Iterable<T>): T[] {
  const some: T[] = [];
  for (const item of items) if (some.push(item) === most) break;
  return some;
}

/** From the first byte of the first to the last byte of the last. */
function spanOf(ranges: readonly Span[]): Span | undefined {
  const [from, to] = [ranges[0], ranges[ranges.length - 1]];
  return from === undefined || to === undefined ? undefined : { start: from.start, end: to.end };
}

function isEnd(ranges: readonly unknown[], at: number): boolean {
  return at === 0 || at === ranges.length - 1;
}

function overlaps(a: Span, b: Span): boolean {
  return a.start <= b.end && b.start <= a.end;
}

/** The parts of a held range outside of another one. */
function cut(held: HeldRange, range: Span): HeldRange[] {
  const left = held.start < range.start ? [{ ...held, end: range.start - 1n }] : [];
  const right = held.end > range.end ? [{ ...held, start: range.end + 1n }] : [];
  return [...left, ...right];
}

/** From the first byte of both to the last. */
export function around(a: Span, b: Span): Span {
  return { start: a.start < b.start ? a.start : b.start, end: a.end > b.end ? a.end : b.end };
}
