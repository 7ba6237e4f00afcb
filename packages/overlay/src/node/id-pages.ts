/**
 * A map from numbers that are given away in sequence (nodeIds, handles), in pages of neighbours: a third of the memory that a Map takes for
 * each, and it never stops to move a million entries into a larger table. A page goes with the last of its entries, except
 * the newest: if one file is open at a time, each open would fill an empty table again and allocate a page.
 */

/** Small, since one that stays keeps its page. */
const PAGE_IDS = 64;

interface Page<Value> {
  /** By id modulo PAGE_IDS. */
  readonly values: (Value | undefined)[];
  used: number;
}

export class IdPages<Value extends object> {
  readonly #pages = new Map<number, Page<Value>>();
  #newest = -1;
  #size = 0;
  /** The page that was used last: most ids lie in the page of the id before, which spares looking for it. */
  #recent = -1;
  #recentPage: Page<Value> | undefined = undefined;

  get size(): number {
    return this.#size;
  }

  get(id: number): Value | undefined {
    return this.#page(pageOf(id))?.values[id % PAGE_IDS];
  }

  set(id: number, value: Value): void {
    const page = this.#page(pageOf(id)) ?? this.#add(pageOf(id));
    const at = id % PAGE_IDS;
    if (page.values[at] === undefined) {
      page.used++;
      this.#size++;
    }
    page.values[at] = value;
  }

  delete(id: number): void {
    const page = this.#page(pageOf(id));
    const at = id % PAGE_IDS;
    if (page?.values[at] === undefined) return;
    page.values[at] = undefined;
    page.used--;
    this.#size--;
    if (page.used === 0 && pageOf(id) !== this.#newest) this.#drop(pageOf(id));
  }

  clear(): void {
    this.#pages.clear();
    this.#recent = this.#newest = -1;
    this.#recentPage = undefined;
    this.#size = 0;
  }

  *values(): IterableIterator<Value> {
    for (const { values } of this.#pages.values()) {
      for (const value of values) if (value !== undefined) yield value;
    }
  }

  #add(number: number): Page<Value> {
    const page = (number > this.#newest ? this.#emptied() : undefined) ?? emptyPage();
    this.#newest = Math.max(this.#newest, number);
    this.#pages.set(number, page);
    return page;
  }

  /** The newest page, if nothing is in it any more. */
  #emptied(): Page<Value> | undefined {
    const page = this.#pages.get(this.#newest);
    if (page?.used !== 0) return undefined;
    this.#drop(this.#newest);
    return page;
  }

  #page(number: number): Page<Value> | undefined {
    if (number === this.#recent) return this.#recentPage;
    const page = this.#pages.get(number);
    if (page === undefined) return undefined;
    this.#recent = number;
    this.#recentPage = page;
    return page;
  }

  #drop(number: number): void {
    this.#pages.delete(number);
    if (number !== this.#recent) return;
    this.#recent = -1;
    this.#recentPage = undefined;
  }
}

function emptyPage<Value>(): Page<Value> {
  return { values: new Array<Value | undefined>(PAGE_IDS).fill(undefined), used: 0 };
}

/** No shift: ids go beyond 32 bits. */
function pageOf(id: number): number {
  return Math.floor(id / PAGE_IDS);
}
