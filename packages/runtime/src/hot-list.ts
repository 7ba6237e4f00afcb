/**
 * The most frequent keys, in bounded room (the "space saving" count of Metwally, Agrawal and El Abbadi): it holds every key that occurs more
 * than once in `size` times, and a count is too high by at most `atMostOver`.
 */
export interface HotKey {
  key: string;
  count: number;
  /** The count may be too high by this much. */
  atMostOver: number;
  /** Of the newest addition. */
  tag: number;
}

export class HotList {
  readonly #size: number;
  readonly #slots = new Map<string, HotKey>();
  /** The same slots, each at a place of its own. */
  readonly #places: HotKey[] = [];
  /** The place where the last search ended. */
  #hand = 0;
  /** No slot has a lower count: counts only grow. */
  #floor = Infinity;

  constructor(size: number) {
    this.#size = size;
  }

  add(key: string, amount = 1, tag = 0): void {
    const slot = this.#slots.get(key);
    if (slot !== undefined) {
      slot.count += amount;
      slot.tag = tag;
      return;
    }
    if (this.#places.length < this.#size) {
      this.#floor = Math.min(this.#floor, amount);
      this.#put(this.#places.length, { key, count: amount, atMostOver: 0, tag });
      return;
    }
    const place = this.#least();
    const { key: least, count } = this.#places[place] as HotKey;
    this.#slots.delete(least);
    this.#put(place, { key, count: count + amount, atMostOver: count, tag });
  }

  #put(place: number, slot: HotKey): void {
    this.#places[place] = slot;
    this.#slots.set(slot.key, slot);
  }

  /**
   * The place of a slot with the least count. Among many rare keys most slots have that count, and the search goes on where the
   * last one ended, so it usually looks at one slot.
   */
  #least(): number {
    const places = this.#places;
    let least = this.#hand;
    let count = Infinity;
    for (let looked = 0; looked < places.length && count > this.#floor; looked++) {
      this.#hand = this.#hand + 1 < places.length ? this.#hand + 1 : 0;
      const slot = places[this.#hand] as HotKey;
      if (slot.count >= count) continue;
      count = slot.count;
      least = this.#hand;
    }
    this.#floor = count;
    this.#hand = least;
    return least;
  }

  /** All entries, the hottest first. A comparison of two lists needs all of them, since a key may change its rank. */
  top(): HotKey[] {
    return [...this.#places].sort((one, other) => other.count - one.count || (one.key < other.key ? -1 : 1));
  }
}
