/** Searches for mappings of single files: opens of one file share a search, and a mapping that was found counts for a moment. */

/** Does somebody have the file with this st_ino mapped for writing? True if it cannot be known. */
export type FindMapped = (ino: bigint) => Promise<boolean>;

export const MAPPED = "somebody may have it mapped for writing";
/** A search reads all of /proc, and a program that keeps a file mapped must not cause one for each open of it. */
const COUNTS_MS = 500;

export class MappedFiles {
  readonly #searches = new Map<bigint, Promise<boolean>>();

  constructor(private readonly find: FindMapped) {}

  /** Never rejects: a search that fails has found one. */
  isMapped(ino: bigint): Promise<boolean> {
    let search = this.#searches.get(ino);
    if (search === undefined) {
      search = this.find(ino).catch(() => true);
      this.#searches.set(ino, search);
      void search.then((mapped) => {
        const forget = (): void => void this.#searches.delete(ino);
        if (mapped) setTimeout(forget, COUNTS_MS).unref();
        else forget();
      });
    }
    return search;
  }
}
