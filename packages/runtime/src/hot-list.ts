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
    if (this.#slots.size < this.#size) {
      this.#slots.set(key, { key, count: amount, atMostOver: 0, tag });
      return;
    }
    const least = this.#least();
    this.#slots.delete(least.key);
    const { count } = least;
    this.#slots.set(key, { key, count: count + amount, atMostOver: count, tag });
  }

  #least(): HotKey {
    let least: HotKey | undefined;
    for (const slot of this.#slots.values()) if (least === undefined || slot.count < least.count) least = slot;
    return least as HotKey;
  }

  /** All entries, the hottest first. A comparison of two lists needs all of them, since a key may change its rank. */
  top(): HotKey[] {
    return [...this.#slots.values()].sort((one, other) => other.count - one.count || (one.key < other.key ? -1 : 1));
  }
}
