/**
 * Finds the records of pending nodes that have several names (hard links), by their keys. All records are read for it, but only if one
 * has a key, and only when somebody asks.
 */
import { NodeFlag, type NodeRecords, RecordKind } from "@sluice/journal";

export class PendingLinks {
  readonly #records: NodeRecords;
  /** Up to here there are records of the process before. */
  readonly #mark: number;
  #upper: Map<number, number> | undefined;
  readonly #lower = new Map<string, number[]>();
  #parted: number[] = [];

  constructor(records: NodeRecords) {
    this.#records = records;
    this.#mark = records.mark;
    if (records.linked === 0) this.#upper = new Map();
  }

  /** The record of a file of the upper layer by its inode number, or 0. It may be restored by now, or another node's. */
  upper(ino: number): number {
    return this.#read().get(ino) ?? 0;
  }

  /** The records of the files of a lower layer with a key; not again. */
  takeLower(key: string): readonly number[] {
    this.#read();
    const slots = this.#lower.get(key) ?? [];
    this.#lower.delete(key);
    return slots;
  }

  /** The records of copies that parted from a lower file, which may have several names in the upper layer, too; not again. */
  takeParted(): readonly number[] {
    this.#read();
    const slots = this.#parted;
    this.#parted = [];
    return slots;
  }

  #read(): Map<number, number> {
    if (this.#upper !== undefined) return this.#upper;
    const records = this.#records;
    this.#upper = new Map();
    for (let slot = 1; slot < this.#mark; slot++) {
      if (records.kindOf(slot) !== RecordKind.node || !records.has(slot, NodeFlag.linked | NodeFlag.lowerLinked)) continue;
      const { lo, hi, device } = records.linkOf(slot);
      if (records.has(slot, NodeFlag.linked)) this.#upper.set(hi * 2 ** 32 + lo, slot);
      if (records.has(slot, NodeFlag.parted)) this.#parted.push(slot);
      if (records.has(slot, NodeFlag.lowerLinked)) this.#addLower(`${device}:${hi}:${lo}`, slot);
    }
    return this.#upper;
  }

  #addLower(key: string, slot: number): void {
    const same = this.#lower.get(key);
    if (same === undefined) this.#lower.set(key, [slot]);
    else same.push(slot);
  }
}
