/**
 * Slots of one size, used again when they are given back. Slot 0 is none. The first word of a slot is its state, 0 if it
 * is free. The writer fills it last, so that a half-filled slot does not count.
 */
import { type JournalMemory, tableLayout, type TableName } from "./layout.js";

export class SlotTable {
  readonly words: Uint32Array;
  readonly #base: number;
  readonly #slotWords: number;
  readonly #capacity: number;
  readonly #markAt: number;
  /** The slot that was freed last is taken first: used slots stay close together. */
  #free: number[] = [];

  constructor(memory: JournalMemory, name: TableName) {
    const layout = tableLayout(memory.words, name);
    this.words = memory.words;
    this.#base = layout.base;
    this.#slotWords = layout.slotWords;
    this.#capacity = layout.capacity;
    this.#markAt = layout.markAt;
  }

  /** The word at which a slot starts. */
  at(slot: number): number {
    return this.#base + slot * this.#slotWords;
  }

  /** One above the highest slot that was ever used. */
  get mark(): number {
    return this.words[this.#markAt] as number;
  }

  get used(): number {
    return this.mark - 1 - this.#free.length;
  }

  /** A free slot, or 0 if all are taken. */
  take(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const next = this.mark;
    if (next >= this.#capacity) return 0;
    this.words[this.#markAt] = next + 1;
    return next;
  }

  give(slot: number): void {
    this.words[this.at(slot)] = 0;
    this.#free.push(slot);
  }

  /** Finds the free slots again. */
  recover(): void {
    this.#free = [];
    for (let slot = this.mark - 1; slot > 0; slot--) if (this.words[this.at(slot)] === 0) this.#free.push(slot);
  }
}
