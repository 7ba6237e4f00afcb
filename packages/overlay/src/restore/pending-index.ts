/**
 * Finds the records of nodes that nobody has asked for since another process wrote them, by id and by name in a directory.
 * Two hash tables in typed arrays: a million records are taken in without an object or a string for each.
 */
import { NameHash, type NodeRecords, RecordKind } from "@sluice/journal";
import type { ByteName, NodeId } from "@sluice/vfs";

export class PendingIndex {
  readonly #records: NodeRecords;
  readonly #hash = new NameHash();
  /** By slot: 1 as long as it is pending. */
  readonly #pending: Uint8Array;
  /** By slot: names in it. */
  readonly #children: Uint32Array;
  readonly #ids: Uint32Array;
  /** A name's reference, and the slot of its node. */
  readonly #names: Uint32Array;
  readonly #owners: Uint32Array;
  #size = 0;

  constructor(records: NodeRecords) {
    this.#records = records;
    this.#pending = new Uint8Array(records.mark);
    this.#children = new Uint32Array(records.mark);
    let names = 0;
    for (let slot = 1; slot < records.mark; slot++) {
      const kind = records.kindOf(slot);
      if (kind === RecordKind.node) for (let ref = records.firstName(slot); ref !== 0; ref = records.nextName(ref)) names++;
    }
    this.#ids = new Uint32Array(roomFor(records.used));
    this.#names = new Uint32Array(roomFor(names));
    this.#owners = new Uint32Array(this.#names.length);
    for (let slot = 1; slot < records.mark; slot++) this.#add(slot);
  }

  get size(): number {
    return this.#size;
  }

  isPending(slot: number): boolean {
    return this.#pending[slot] === 1;
  }

  /** Names of pending nodes in a directory. */
  childrenOf(slot: number): number {
    return this.#children[slot] as number;
  }

  /** It is restored, or gone. */
  remove(slot: number): void {
    if (this.#pending[slot] !== 1) return;
    this.#pending[slot] = 0;
    this.#size--;
  }

  /** A name of a pending node is about to be freed. */
  dropName(ref: number): void {
    const parent = this.#records.parentOf(ref);
    const mask = this.#names.length - 1;
    for (let at = this.#records.hashName(ref, parent, this.#hash) & mask; this.#names[at] !== 0; at = (at + 1) & mask) {
      if (this.#names[at] === ref) this.#names[at] = LOST;
    }
    this.dropChild(parent);
  }

  /** A pending node has one more name: there is room for the few that a restart finds. */
  addName(slot: number, ref: number): void {
    const parent = this.#records.parentOf(ref);
    this.#children[parent] = (this.#children[parent] as number) + 1;
    this.#owners[insert(this.#names, this.#records.hashName(ref, parent, this.#hash), ref)] = slot;
  }

  /** One name fewer in a directory. */
  dropChild(parent: number): void {
    this.#children[parent] = (this.#children[parent] as number) - 1;
  }

  /** The slot of a pending node or alias, or 0. */
  byId(id: NodeId): number {
    const mask = this.#ids.length - 1;
    for (let at = hashId(id) & mask; this.#ids[at] !== 0; at = (at + 1) & mask) {
      const slot = this.#ids[at] as number;
      if (this.#pending[slot] === 1 && this.#records.idOf(slot) === id) return slot;
    }
    return 0;
  }

  byName(parent: number, name: ByteName): number {
    const mask = this.#names.length - 1;
    for (let at = this.#hash.ofText(parent, name) & mask; this.#names[at] !== 0; at = (at + 1) & mask) {
      const owner = this.#owners[at] as number;
      const ref = this.#names[at] as number;
      if (ref === LOST || this.#pending[owner] !== 1 || this.#records.parentOf(ref) !== parent) continue;
      if (this.#records.nameText(ref) === name) return owner;
    }
    return 0;
  }

  #add(slot: number): void {
    const kind = this.#records.kindOf(slot);
    if (kind !== RecordKind.node && kind !== RecordKind.alias) return;
    this.#pending[slot] = 1;
    this.#size++;
    insert(this.#ids, hashId(this.#records.idOf(slot)), slot);
    if (kind === RecordKind.alias) return;
    for (let ref = this.#records.firstName(slot); ref !== 0; ref = this.#records.nextName(ref)) {
      const parent = this.#records.parentOf(ref);
      this.#children[parent] = (this.#children[parent] as number) + 1;
      this.#owners[insert(this.#names, this.#records.hashName(ref, parent, this.#hash), ref)] = slot;
    }
  }
}

/** Marks the entry of a name that is gone. */
const LOST = 0xffff_ffff;

/** A power of two, at least half of it empty. */
function roomFor(entries: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(16, entries * 2)));
}

function insert(table: Uint32Array, hash: number, value: number): number {
  const mask = table.length - 1;
  let at = hash & mask;
  while (table[at] !== 0) at = (at + 1) & mask;
  table[at] = value;
  return at;
}

function hashId(id: NodeId): number {
  const mixed = Math.imul((id >>> 0) ^ Math.floor(id / 2 ** 32), 0x9e37_79b1);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
