/** Held locks. A waiter comes again by itself: the kernel resends unanswered requests. */
import type { JournalMemory } from "./layout.js";
import { SlotTable } from "./slot-table.js";

const RANGE = 1;
const WHOLE = 2;
const WRITE = 1 << 8;

export interface LockRecord {
  whole: boolean;
  write: boolean;
  /** Slot of its file's node. */
  node: number;
  owner: bigint;
  handle: number;
  pid: number;
  start: bigint;
  end: bigint;
}

export class LockRecords {
  readonly #table: SlotTable;
  readonly #words: Uint32Array;

  constructor(memory: JournalMemory) {
    this.#table = new SlotTable(memory, "locks");
    this.#words = memory.words;
  }

  get used(): number {
    return this.#table.used;
  }

  add(lock: LockRecord): number {
    const slot = this.#table.take();
    if (slot === 0) return 0;
    const at = this.#table.at(slot);
    this.#words[at + 1] = lock.node;
    this.#words[at + 2] = lock.pid;
    this.#put(at + 3, lock.owner);
    this.#put(at + 5, BigInt(lock.handle));
    this.#put(at + 7, lock.start);
    this.#put(at + 9, lock.end);
    this.#words[at] = (lock.whole ? WHOLE : RANGE) | (lock.write ? WRITE : 0);
    return slot;
  }

  remove(slot: number): void {
    this.#table.give(slot);
  }

  recover(): void {
    this.#table.recover();
  }

  *all(): IterableIterator<LockRecord & { slot: number }> {
    for (let slot = 1; slot < this.#table.mark; slot++) {
      const at = this.#table.at(slot);
      const state = this.#words[at] as number;
      if (state === 0) continue;
      yield {
        slot,
        whole: (state & 3) === WHOLE,
        write: (state & WRITE) !== 0,
        node: this.#words[at + 1] as number,
        pid: this.#words[at + 2] as number,
        owner: this.#get(at + 3),
        handle: Number(this.#get(at + 5)),
        start: this.#get(at + 7),
        end: this.#get(at + 9),
      };
    }
  }

  #put(at: number, value: bigint): void {
    this.#words[at] = Number(value & 0xffff_ffffn);
    this.#words[at + 1] = Number((value >> 32n) & 0xffff_ffffn);
  }

  #get(at: number): bigint {
    return (BigInt(this.#words[at + 1] as number) << 32n) | BigInt(this.#words[at] as number);
  }
}
