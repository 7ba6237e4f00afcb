/**
 * A map from nodeIds, which are given away in sequence, in pages of neighbours: a third of what a Map takes for each, and it
 * never stops to move a million entries into a larger table. A page goes with the last of its entries.
 */
import type { NodeId } from "@sluice/vfs";

/** Small, since one that stays keeps its page. */
const PAGE_IDS = 64;

interface Page<Value> {
  /** By id modulo PAGE_IDS. */
  readonly values: (Value | undefined)[];
  used: number;
}

export class IdPages<Value extends object> {
  readonly #pages = new Map<number, Page<Value>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: NodeId): Value | undefined {
    return this.#pages.get(pageOf(id))?.values[id % PAGE_IDS];
  }

  set(id: NodeId, value: Value): void {
    const page = this.#pages.get(pageOf(id)) ?? this.#add(pageOf(id));
    const at = id % PAGE_IDS;
    if (page.values[at] === undefined) {
      page.used++;
      this.#size++;
    }
    page.values[at] = value;
  }

  delete(id: NodeId): void {
    const page = this.#pages.get(pageOf(id));
    const at = id % PAGE_IDS;
    if (page?.values[at] === undefined) return;
    page.values[at] = undefined;
    page.used--;
    this.#size--;
    if (page.used === 0) this.#pages.delete(pageOf(id));
  }

  clear(): void {
    this.#pages.clear();
    this.#size = 0;
  }

  *values(): IterableIterator<Value> {
    for (const { values } of this.#pages.values()) {
      for (const value of values) if (value !== undefined) yield value;
    }
  }

  #add(number: number): Page<Value> {
    const page: Page<Value> = { values: new Array<Value | undefined>(PAGE_IDS).fill(undefined), used: 0 };
    this.#pages.set(number, page);
    return page;
  }
}

/** No shift: ids go beyond 32 bits. */
function pageOf(id: NodeId): number {
  return Math.floor(id / PAGE_IDS);
}
