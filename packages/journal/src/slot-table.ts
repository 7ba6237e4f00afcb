/**
 * Slots of one size, used again when they are given back. Slot 0 is none. The first word of a slot is its state, 0 if it
 * is free. The writer fills it last, so that a half-filled slot does not count. The second word of a free slot leads to the next one.
 */
import { Header, type JournalMemory, TableId, tableLayout, type TableName } from "./layout.js";

export class SlotTable {
  readonly words: Uint32Array;
  readonly #base: number;
  readonly #slotWords: number;
  readonly #capacity: number;
  readonly #markAt: number;
  /** The word with the first free slot; the next word has their number. */
  readonly #freeAt: number;

  constructor(memory: JournalMemory, name: TableName) {
    const layout = tableLayout(memory.words, name);
    this.words = memory.words;
    this.#base = layout.base;
    this.#slotWords = layout.slotWords;
    this.#capacity = layout.capacity;
    this.#markAt = layout.markAt;
    this.#freeAt = Header.free + TableId[name] * 2;
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
    return this.mark - 1 - (this.words[this.#freeAt + 1] as number);
  }

  /** A free slot, or 0 if all are taken. The one that was freed last comes first: used slots stay close together. */
  take(): number {
    const { words } = this;
    const free = words[this.#freeAt] as number;
    const next = this.mark;
    if (free !== 0 && free < next) {
      words[this.#freeAt] = words[this.at(free) + 1] as number;
      words[this.#freeAt + 1] = (words[this.#freeAt + 1] as number) - 1;
      return free;
    }
    if (next >= this.#capacity) return 0;
    words[this.#markAt] = next + 1;
    return next;
  }

  give(slot: number): void {
    const { words } = this;
    const at = this.at(slot);
    words[at] = 0;
    this.#link(slot, at);
  }

  #link(slot: number, at: number): void {
    const { words } = this;
    words[at + 1] = words[this.#freeAt] as number;
    words[this.#freeAt] = slot;
    words[this.#freeAt + 1] = (words[this.#freeAt + 1] as number) + 1;
  }

  /** Finds the free slots again. */
  recover(): void {
    this.words[this.#freeAt] = 0;
    this.words[this.#freeAt + 1] = 0;
    for (let slot = this.mark - 1; slot > 0; slot--) {
      const at = this.at(slot);
      if (this.words[at] === 0) this.#link(slot, at);
    }
  }
}
