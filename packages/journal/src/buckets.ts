/**
 * A hash table in the journal's memory (linear hashing). Each entry more than there are buckets divides one bucket in two: so the table
 * grows with its content, and no step moves more than a few entries. An entry is a slot of a table of records; one word of it
 * leads to the next entry of its bucket.
 */
import { damaged, tableLayout } from "./layout.js";
import type { SlotTable } from "./slot-table.js";

/** A page of them. */
const FIRST_BUCKETS = 1024;

export interface BucketWords {
  /** The table that holds the first entry of each bucket. */
  heads: "ids" | "names";
  /** The header's word with the number of entries; the next one has that of buckets. */
  counts: number;
  /** In a slot, the word that leads to the next entry. */
  link: number;
}

export class Buckets {
  readonly #words: Uint32Array;
  readonly #table: SlotTable;
  readonly #heads: number;
  readonly #capacity: number;
  readonly #counts: number;
  readonly #link: number;
  readonly #hashOf: (slot: number) => number;

  /** `hashOf`: the hash of an entry, which it keeps while it is in the table. */
  constructor(table: SlotTable, { heads, counts, link }: BucketWords, hashOf: (slot: number) => number) {
    const layout = tableLayout(table.words, heads);
    this.#words = table.words;
    this.#table = table;
    this.#heads = layout.base;
    this.#capacity = layout.capacity;
    this.#counts = counts;
    this.#link = link;
    this.#hashOf = hashOf;
  }

  /** The number of entries. */
  get count(): number {
    return this.#words[this.#counts] as number;
  }

  get #size(): number {
    return this.#words[this.#counts + 1] as number;
  }

  /** Empties the table. */
  clear(): void {
    const words = this.#words;
    const size = Math.min(this.#size, this.#capacity);
    for (let bucket = 0; bucket < size; bucket++) if (words[this.#heads + bucket] !== 0) words[this.#heads + bucket] = 0;
    words[this.#counts] = 0;
    words[this.#counts + 1] = FIRST_BUCKETS;
  }

  /** The first entry of the bucket of a hash, or 0: it may have another hash. */
  first(hash: number): number {
    return this.#words[this.#headOf(hash)] as number;
  }

  /** The next entry of the same bucket, or 0. */
  next(slot: number): number {
    return this.#words[this.#table.at(slot) + this.#link] as number;
  }

  add(slot: number): void {
    const words = this.#words;
    const head = this.#headOf(this.#hashOf(slot));
    words[this.#table.at(slot) + this.#link] = words[head] as number;
    words[head] = slot;
    const count = this.count + 1;
    words[this.#counts] = count;
    if (count > this.#size && this.#size < this.#capacity) this.#divideOne();
  }

  remove(slot: number): void {
    const words = this.#words;
    let at = this.#headOf(this.#hashOf(slot));
    for (let left = this.count; words[at] !== slot; left--) {
      if (words[at] === 0) return;
      if (left <= 0) throw damaged("a hash table");
      at = this.#table.at(words[at] as number) + this.#link;
    }
    words[at] = this.next(slot);
    words[this.#counts] = this.count - 1;
  }

  /** The next bucket in turn gives a part of its entries to a new one, behind all others. */
  #divideOne(): void {
    const words = this.#words;
    const added = this.#size;
    const half = 2 ** (31 - Math.clz32(added));
    const from = this.#heads + added - half;
    let slot = words[from] as number;
    let stays = from;
    let goes = this.#heads + added;
    words[this.#counts + 1] = added + 1;
    for (let left = this.count; slot !== 0; left--) {
      if (left <= 0) throw damaged("a hash table");
      const link = this.#table.at(slot) + this.#link;
      const next = words[link] as number;
      if ((this.#hashOf(slot) & (2 * half - 1)) === added) {
        words[goes] = slot;
        goes = link;
      } else {
        words[stays] = slot;
        stays = link;
      }
      slot = next;
    }
    words[stays] = 0;
    words[goes] = 0;
  }

  #headOf(hash: number): number {
    const size = this.#size;
    const half = 2 ** (31 - Math.clz32(size));
    const bucket = hash & (2 * half - 1);
    return this.#heads + (bucket < size ? bucket : bucket & (half - 1));
  }
}
