/** How often kept answers were given again, by reference, until somebody takes the counts. */
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

  /** At most `most`; they are the taker's now. */
  take(most: number): HitCount[] {
    const taken = this.#touched.splice(0, most);
    return taken.map((entry) => {
      const count = entry.hits;
      entry.hits = 0;
      return { decisionId: entry.decisionId, count };
    });
  }
}
