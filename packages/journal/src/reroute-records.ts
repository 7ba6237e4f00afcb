/** Opens that must come again by another node id, by the thread that will come. */
import type { JournalMemory } from "./layout.js";
import { SlotTable } from "./slot-table.js";

const HERE = 1;
const OBSERVED = 1 << 8;
const LOOKED_UP = 1 << 9;

export interface RerouteRecord {
  pid: number;
  /** Slot of the node. */
  node: number;
  observed: boolean;
  lookedUp: boolean;
}

export class RerouteRecords {
  readonly #table: SlotTable;
  readonly #words: Uint32Array;

  constructor(memory: JournalMemory) {
    this.#table = new SlotTable(memory, "reroutes");
    this.#words = memory.words;
  }

  add(pid: number, node: number, observed: boolean): number {
    const slot = this.#table.take();
    if (slot === 0) return 0;
    const at = this.#table.at(slot);
    this.#words[at + 1] = pid;
    this.#words[at + 2] = node;
    this.#words[at] = HERE | (observed ? OBSERVED : 0);
    return slot;
  }

  setLookedUp(slot: number): void {
    const at = this.#table.at(slot);
    this.#words[at] = (this.#words[at] as number) | LOOKED_UP;
  }

  remove(slot: number): void {
    this.#table.give(slot);
  }

  recover(): void {
    this.#table.recover();
  }

  *all(): IterableIterator<RerouteRecord & { slot: number }> {
    for (let slot = 1; slot < this.#table.mark; slot++) {
      const at = this.#table.at(slot);
      const state = this.#words[at] as number;
      if (state === 0) continue;
      const [pid, node] = [this.#words[at + 1] as number, this.#words[at + 2] as number];
      yield { slot, pid, node, observed: (state & OBSERVED) !== 0, lookedUp: (state & LOOKED_UP) !== 0 };
    }
  }
}
