/**
 * Byte ranges of one file by their first byte, whoever has them. Finds those that overlap another without a look at all.
 * Chunks of bounded size hold them in order; each knows how far its ranges reach, and whose they are if one owner has all.
 */

export interface Range {
  readonly owner: bigint;
  readonly start: bigint;
  /** The last byte. */
  readonly end: bigint;
  /** Tells ranges with the same start apart. */
  readonly order: number;
  /** It is being taken out: a mark, since there may be very many. */
  leaves: boolean;
}

interface Chunk<R> {
  readonly ranges: R[];
  maxEnd: bigint;
  /** The largest end in it and in all chunks before it. */
  reach: bigint;
  /** Undefined if it has several. */
  owner: bigint | undefined;
}

const CHUNK_RANGES = 256;
/** Taking one range out costs about as much as looking at so many. */
const LOOKS_A_REMOVAL = 128;

export class RangeIndex<R extends Range> {
  #chunks: Chunk<R>[] = [];
  #size = 0;

  add(range: R): void {
    this.#size++;
    const at = this.#chunkAt(range);
    const chunk = this.#chunks[at];
    if (chunk === undefined) {
      this.#chunks.push(toChunk([range]));
      this.#reachFrom(0);
      return;
    }
    chunk.ranges.splice(placeOf(chunk.ranges, range), 0, range);
    if (range.end > chunk.maxEnd) chunk.maxEnd = range.end;
    if (range.owner !== chunk.owner) chunk.owner = undefined;
    if (chunk.ranges.length > CHUNK_RANGES) {
      const upper = chunk.ranges.splice(CHUNK_RANGES / 2);
      this.#chunks.splice(at, 1, toChunk(chunk.ranges), toChunk(upper));
      this.#reachFrom(at + 1);
    }
    this.#reachFrom(at);
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Takes out ranges that are in it. */
  remove(gone: readonly R[]): void {
    if (gone.length * LOOKS_A_REMOVAL < this.#size) for (const range of gone) this.#removeOne(range);
    else if (gone.length > 0) this.#removeMany(gone);
    this.#size -= gone.length;
  }

  #removeMany(gone: readonly R[]): void {
    for (const range of gone) range.leaves = true;
    const left: Chunk<R>[] = [];
    for (const chunk of this.#chunks) {
      if (!chunk.ranges.some(({ leaves }) => leaves)) {
        left.push(chunk);
        continue;
      }
      const rest = chunk.ranges.filter(({ leaves }) => !leaves);
      if (rest.length > 0) left.push(toChunk(rest));
    }
    this.#chunks = left;
    for (let at = 0; at < left.length; at++) this.#reachFrom(at);
    for (const range of gone) range.leaves = false;
  }

  #removeOne(range: R): void {
    const at = this.#chunkAt(range);
    const { ranges } = this.#chunks[at] as Chunk<R>;
    ranges.splice(placeOf(ranges, range), 1);
    if (ranges.length === 0) this.#chunks.splice(at, 1);
    else this.#chunks[at] = toChunk(ranges);
    this.#reachFrom(at);
  }

  /** A chunk changed: those behind it reach as far as before in most cases. */
  #reachFrom(first: number): void {
    for (let at = first; at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] as Chunk<R>;
      const before = this.#chunks[at - 1]?.reach;
      const reach = before === undefined || chunk.maxEnd > before ? chunk.maxEnd : before;
      if (reach === chunk.reach && at > first) return;
      chunk.reach = reach;
    }
  }

  /** Ranges that share a byte with this one, by their first byte, without those of the owner `but`. */
  *overlapping({ start, end }: Pick<Range, "start" | "end">, but?: bigint): IterableIterator<R> {
    const chunks = this.#chunks;
    for (let at = firstOf(chunks, (chunk) => chunk.reach >= start); at < chunks.length; at++) {
      const { ranges, maxEnd, owner } = chunks[at] as Chunk<R>;
      const first = ranges[0] as R;
      if (first.start > end) return;
      if (maxEnd < start || (but !== undefined && owner === but)) continue;
      // All of them begin in it: a comparison of large numbers less for each.
      const inside = first.start >= start && (ranges[ranges.length - 1] as R).start <= end;
      for (const range of ranges) {
        if (!inside && range.start > end) return;
        if ((inside || range.end >= start) && (but === undefined || range.owner !== but)) yield range;
      }
    }
  }

  *all(): IterableIterator<R> {
    for (const { ranges } of this.#chunks) yield* ranges;
  }

  /** The chunk that a range is in, or belongs into: the last that does not begin behind it. */
  #chunkAt(range: R): number {
    const behind = firstOf(this.#chunks, ({ ranges }) => isBefore(range, ranges[0] as R));
    return Math.max(0, behind - 1);
  }
}

function toChunk<R extends Range>(ranges: R[]): Chunk<R> {
  const { owner, end } = ranges[0] as R;
  let maxEnd = end;
  let several = false;
  for (const range of ranges) {
    if (range.end > maxEnd) maxEnd = range.end;
    several ||= range.owner !== owner;
  }
  return { ranges, maxEnd, reach: maxEnd, owner: several ? undefined : owner };
}

function isBefore(a: Range, b: Range): boolean {
  return a.start < b.start || (a.start === b.start && a.order < b.order);
}

/** The index of a range in a sorted list, or the index at which it belongs. */
function placeOf(ranges: readonly Range[], range: Range): number {
  return firstOf(ranges, (other) => !isBefore(other, range));
}

/** The first item of which it is true, as it is of all behind it. */
function firstOf<T>(items: readonly T[], isTrue: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isTrue(items[middle] as T)) high = middle;
    else low = middle + 1;
  }
  return low;
}
