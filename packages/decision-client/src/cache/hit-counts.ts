/** Counts repeated cached answers, by reference, until the counts are taken. */
import type { ScopeEntry } from "./scope-table.js";

export interface HitCount {
  decisionId: string;
  count: number;
}

export class HitCounts {
  #touched: ScopeEntry[] = [];

  add(entry: ScopeEntry): void {
    if (entry.hits === 0) this.#touched.push(entry);
    entry.hits++;
  }

  /** At most `most`; they belong to the caller now. */
  take(most: number): HitCount[] {
    const taken = this.#touched.splice(0, most);
    return taken.map((entry) => {
      const count = entry.hits;
      entry.hits = 0;
      return { decisionId: entry.decisionId, count };
    });
  }
}
