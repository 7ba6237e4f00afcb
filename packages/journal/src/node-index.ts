/**
 * Finds the record of a node by its id, or by a name in a directory. The index lies in the journal, so that a process that takes over
 * a million nodes maps it, and reads only the records that somebody asks for.
 *
 * An entry for a name is the node's own record for one of its names, and a record of its own for each further one (a hard link).
 */
import { Buckets } from "./buckets.js";
import { damaged, Header } from "./layout.js";
import type { NameHash } from "./name-hash.js";
import { type NamesOf, RecordKind, Word } from "./node-words.js";
import type { SlotTable } from "./slot-table.js";

export class NodeIndex {
  readonly #table: SlotTable;
  readonly #words: Uint32Array;
  readonly #names: NamesOf;
  readonly #hash: NameHash;
  readonly #byId: Buckets;
  readonly #byName: Buckets;

  constructor(table: SlotTable, names: NamesOf, hash: NameHash) {
    this.#table = table;
    this.#words = table.words;
    this.#names = names;
    this.#hash = hash;
    this.#byId = new Buckets(table, { heads: "ids", counts: Header.idBuckets, link: Word.nextOfId }, (slot) => {
      const at = table.at(slot);
      return hashId(table.words[at + Word.idLo] as number, table.words[at + Word.idHi] as number);
    });
    this.#byName = new Buckets(table, { heads: "names", counts: Header.nameBuckets, link: Word.nextOfName }, (slot) =>
      this.#hashOf(table.words[table.at(slot) + Word.entryOf] as number),
    );
  }

  /** The number of nodes and aliases. */
  get size(): number {
    return this.#byId.count;
  }

  #hashOf(ref: number): number {
    const start = this.#names.nameAt(ref);
    return this.#hash.ofBytes(this.#names.parentOf(ref), this.#names.bytes, start, start + this.#names.nameLength(ref));
  }

  addId(slot: number): void {
    this.#byId.add(slot);
  }

  removeId(slot: number): void {
    this.#byId.remove(slot);
  }

  /** The record of a node or an alias, or 0. */
  byId(idLo: number, idHi: number): number {
    const words = this.#words;
    let slot = this.#byId.first(hashId(idLo, idHi));
    for (let left = this.#byId.count; slot !== 0; left--) {
      if (left <= 0) throw damaged("a hash table");
      const at = this.#table.at(slot);
      if (words[at + Word.idLo] === idLo && words[at + Word.idHi] === idHi) return slot;
      slot = this.#byId.next(slot);
    }
    return 0;
  }

  /** A node has one more name, which `ref` refers to. */
  addName(slot: number, ref: number): void {
    const words = this.#words;
    const own = this.#table.at(slot);
    if (words[own + Word.entryOf] === 0) {
      words[own + Word.entryOf] = ref;
      this.#byName.add(slot);
      return;
    }
    const entry = this.#table.take();
    if (entry === 0) return;
    const at = this.#table.at(entry);
    for (let word = 1; word < Word.words; word++) words[at + word] = 0;
    words[at + Word.owner] = slot;
    words[at + Word.entryOf] = ref;
    words[at + Word.state] = RecordKind.furtherName;
    this.#byName.add(entry);
  }

  /** A name is about to be freed. */
  removeName(ref: number): void {
    const words = this.#words;
    let slot = this.#byName.first(this.#hashOf(ref));
    for (let left = this.#byName.count; slot !== 0; left--) {
      if (left <= 0) throw damaged("a hash table");
      if (words[this.#table.at(slot) + Word.entryOf] === ref) break;
      slot = this.#byName.next(slot);
    }
    if (slot === 0) return;
    this.#byName.remove(slot);
    const at = this.#table.at(slot);
    words[at + Word.entryOf] = 0;
    if (this.#kindOf(slot) === RecordKind.furtherName) this.#table.give(slot);
  }

  /** The record of a node that has the name in a directory, and that `accepts` it; or 0. */
  byName(parent: number, name: string, accepts: (slot: number) => boolean): number {
    const words = this.#words;
    let entry = this.#byName.first(this.#hash.ofText(parent, name));
    for (let left = this.#byName.count; entry !== 0; left--) {
      if (left <= 0) throw damaged("a hash table");
      const at = this.#table.at(entry);
      const slot = this.#kindOf(entry) === RecordKind.furtherName ? (words[at + Word.owner] as number) : entry;
      if (this.#isNamed(words[at + Word.entryOf] as number, parent, name) && accepts(slot)) return slot;
      entry = this.#byName.next(entry);
    }
    return 0;
  }

  #isNamed(ref: number, parent: number, name: string): boolean {
    const names = this.#names;
    if (names.parentOf(ref) !== parent || names.nameLength(ref) !== name.length) return false;
    const start = names.nameAt(ref);
    for (let at = 0; at < name.length; at++) if (names.bytes[start + at] !== name.charCodeAt(at)) return false;
    return true;
  }

  #kindOf(slot: number): number {
    return (this.#words[this.#table.at(slot)] as number) & 3;
  }

  /** Empties it, before all records are entered again. */
  clear(): void {
    this.#byId.clear();
    this.#byName.clear();
    for (let slot = 1; slot < this.#table.mark; slot++) {
      const at = this.#table.at(slot);
      const kind = this.#kindOf(slot);
      if (kind === RecordKind.furtherName) this.#words[at] = 0;
      if (kind !== RecordKind.free) this.#words[at + Word.entryOf] = this.#words[at + Word.children] = 0;
    }
  }
}

/** Ids are given one after the other, so their low bits are as good as a hash. */
function hashId(lo: number, hi: number): number {
  return (lo ^ Math.imul(hi, 0x9e37_79b1)) >>> 0;
}
