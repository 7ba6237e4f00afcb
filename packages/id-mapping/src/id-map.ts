/** A mapping of user or group ids between the layers and the view of the mount. No file system here. */

/** `count` ids from `layer` up, shown as those from `shown` up. */
export interface IdRange {
  layer: number;
  shown: number;
  count: number;
}

/** An id without a place in the mapping is shown as this one, as everywhere in the kernel. */
export const OVERFLOW_ID = 65_534;
/** The kernel's "no id": never a user or group. */
const NO_ID = 0xffff_ffff;

/** One kind of ids. Without ranges every id is itself. */
export class IdMap {
  readonly #ranges: readonly IdRange[];
  readonly #squashed: number | undefined;

  /** With `squashed` everything is shown as that one id; callers' ids are then mapped by the ranges alone. */
  constructor(ranges: readonly IdRange[], squashed: number | undefined) {
    this.#ranges = ranges;
    this.#squashed = squashed;
  }

  get isIdentity(): boolean {
    return this.#ranges.length === 0 && this.#squashed === undefined;
  }

  toShown(id: number): number {
    if (this.#squashed !== undefined) return this.#squashed;
    if (this.#ranges.length === 0) return id;
    for (const { layer, shown, count } of this.#ranges) if (id >= layer && id - layer < count) return shown + (id - layer);
    return OVERFLOW_ID;
  }

  /** The id on the layers; undefined if it has none. */
  toLayer(id: number): number | undefined {
    if (this.#ranges.length === 0 || id === NO_ID) return id;
    for (const { layer, shown, count } of this.#ranges) if (id >= shown && id - shown < count) return layer + (id - shown);
    return undefined;
  }
}

export interface IdMapping {
  uids: IdMap;
  gids: IdMap;
}
