/**
 * The advisory locks of one file: POSIX byte ranges and flock(2), which know nothing of each other. A data structure
 * with the rules of fs/locks.c; who waits, and for whom, is lock-table.ts.
 */

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

/** Is told what an owner holds from now on. */
export interface LockNotes {
  ranges(owner: bigint, held: readonly RangeLock[]): void;
  whole(owner: bigint, lock: WholeLock | undefined): void;
}

export class FileLocks {
  readonly #notes: LockNotes | undefined;
  /** Ranges by owner, sorted; owners in the order in which they came, which is how F_GETLK finds the first in the way. */
  readonly #ranges = new Map<bigint, RangeLock[]>();
  readonly #whole = new Map<bigint, WholeLock>();

  constructor(notes?: LockNotes) {
    this.#notes = notes;
  }

  get empty(): boolean {
    return this.#ranges.size === 0 && this.#whole.size === 0;
  }

  /** The first range in the way of `wanted`. */
  conflict(wanted: RangeLock): RangeLock | undefined {
    for (const [owner, ranges] of this.#ranges) {
      if (owner === wanted.owner) continue;
      for (const held of ranges) if (inTheWay(held, wanted)) return held;
    }
    return undefined;
  }

  /** Everybody whose ranges are in the way. */
  *blockers(wanted: RangeLock): IterableIterator<bigint> {
    for (const [owner, ranges] of this.#ranges) {
      if (owner !== wanted.owner && ranges.some((held) => inTheWay(held, wanted))) yield owner;
    }
  }

  /** Takes a range that nothing is in the way of: what its owner holds there becomes this lock, neighbours of one kind grow together. */
  take(wanted: RangeLock): void {
    const rest = this.#without(wanted);
    let { start, end } = wanted;
    const apart = rest.filter((held) => {
      if (held.write !== wanted.write || held.end + 1n < start || held.start > end + 1n) return true;
      if (held.start < start) start = held.start;
      if (held.end > end) end = held.end;
      return false;
    });
    apart.push({ ...wanted, start, end });
    this.#keep(wanted.owner, apart);
  }

  /** False where the owner held nothing there. */
  drop(range: Pick<RangeLock, "owner" | "start" | "end">): boolean {
    const before = this.#ranges.get(range.owner);
    if (before === undefined || !before.some((held) => overlaps(held, range))) return false;
    this.#keep(range.owner, this.#without(range));
    return true;
  }

  dropOwner(owner: bigint): boolean {
    if (!this.#ranges.delete(owner)) return false;
    this.#notes?.ranges(owner, []);
    return true;
  }

  /** What is left of an open file that is gone: its flock, and ranges of its own (F_OFD_SETLK). */
  dropHandle(handle: number): boolean {
    let dropped = false;
    for (const [owner, lock] of this.#whole) if (lock.handle === handle) dropped = this.dropWhole(owner) || dropped;
    for (const [owner, ranges] of this.#ranges) {
      const rest = ranges.filter((held) => held.handle !== handle);
      if (rest.length === ranges.length) continue;
      dropped = true;
      this.#keep(owner, rest);
    }
    return dropped;
  }

  whole(owner: bigint): WholeLock | undefined {
    return this.#whole.get(owner);
  }

  wholeConflict(wanted: WholeLock): boolean {
    for (const held of this.#whole.values()) if (held.owner !== wanted.owner && (held.write || wanted.write)) return true;
    return false;
  }

  takeWhole(wanted: WholeLock): void {
    this.#whole.set(wanted.owner, wanted);
    this.#notes?.whole(wanted.owner, wanted);
  }

  dropWhole(owner: bigint): boolean {
    if (!this.#whole.delete(owner)) return false;
    this.#notes?.whole(owner, undefined);
    return true;
  }

  /** The owner's ranges with this one cut out. */
  #without(range: Pick<RangeLock, "owner" | "start" | "end">): RangeLock[] {
    return (this.#ranges.get(range.owner) ?? []).flatMap((held) => {
      if (!overlaps(held, range)) return [held];
      const left = held.start < range.start ? [{ ...held, end: range.start - 1n }] : [];
      const right = held.end > range.end ? [{ ...held, start: range.end + 1n }] : [];
      return [...left, ...right];
    });
  }

  #keep(owner: bigint, ranges: RangeLock[]): void {
    if (ranges.length === 0) this.#ranges.delete(owner);
    else
      this.#ranges.set(
        owner,
        ranges.sort((a, b) => (a.start < b.start ? -1 : 1)),
      );
    this.#notes?.ranges(owner, ranges);
  }
}

function overlaps(a: Pick<RangeLock, "start" | "end">, b: Pick<RangeLock, "start" | "end">): boolean {
  return a.start <= b.end && b.start <= a.end;
}

function inTheWay(held: RangeLock, wanted: RangeLock): boolean {
  return overlaps(held, wanted) && (held.write || wanted.write);
}
