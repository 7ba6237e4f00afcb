/**
 * Writes down which locks are held. What an owner holds of a file is written anew before the old is taken away: a process
 * that is killed between leaves both, and the request that changed them, which was not answered, comes again.
 */
import type { LockRecords } from "@sluice/journal";
import type { LockNotes, RangeLock, WholeLock } from "../locks/file-locks.js";
import type { Node } from "../node/node.js";

export class LockBook {
  readonly #records: LockRecords;
  readonly #slotOf: (node: Node) => number;

  constructor(records: LockRecords, slotOf: (node: Node) => number) {
    this.#records = records;
    this.#slotOf = slotOf;
  }

  /** For the locks of one file. */
  notesOf(node: Node): LockNotes {
    const ranges = new Map<bigint, number[]>();
    const whole = new Map<bigint, number[]>();
    return {
      ranges: (owner, held) => this.#replace(ranges, owner, () => held.map((lock) => this.#addRange(node, lock))),
      whole: (owner, lock) => this.#replace(whole, owner, () => (lock === undefined ? [] : [this.#addWhole(node, lock)])),
    };
  }

  #replace(slots: Map<bigint, number[]>, owner: bigint, add: () => number[]): void {
    const before = slots.get(owner) ?? [];
    const now = add();
    if (now.length === 0) slots.delete(owner);
    else slots.set(owner, now);
    for (const slot of before) if (slot !== 0) this.#records.remove(slot);
  }

  #addRange(node: Node, lock: RangeLock): number {
    return this.#records.add({ ...lock, whole: false, node: this.#slotOf(node) });
  }

  #addWhole(node: Node, lock: WholeLock): number {
    return this.#records.add({ ...lock, whole: true, node: this.#slotOf(node), pid: 0, start: 0n, end: 0n });
  }
}
