/**
 * Writes down which locks are held. New locks are written before old ones are removed. A process that is killed in between
 * leaves both, and the unanswered request that changed them comes again.
 */
import type { LockRecords } from "@sluice/journal";
import type { LockNotes } from "../locks/file-locks.js";
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
    return {
      range: (lock) => this.#records.add({ ...lock, whole: false, node: this.#slotOf(node) }),
      whole: (lock) => this.#records.add({ ...lock, whole: true, node: this.#slotOf(node), pid: 0, start: 0n, end: 0n }),
      gone: (slot) => {
        if (slot !== 0) this.#records.remove(slot);
      },
    };
  }
}
