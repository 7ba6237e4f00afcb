/**
 * The kernel's knowledge of nodes: their ids with its references, their names, and facts that another look at the layers
 * cannot find. The place of a node's object is not here: its name leads there.
 */
import { Arena } from "./arena.js";
import { damaged, type JournalMemory } from "./layout.js";
import type { NameHash } from "./name-hash.js";
import { SlotTable } from "./slot-table.js";

export const RecordKind = {
  free: 0,
  /** A node under its own id. */
  node: 1,
  /** A further id of a node. */
  alias: 2,
  /** A node that the kernel forgot, for file handles. */
  forgotten: 3,
} as const;

export const NodeFlag = {
  shown: 1 << 8,
  writtenPastUs: 1 << 9,
  /** It has no name: the keeper's store has its descriptor. */
  nameless: 1 << 10,
  /** An alias for opens whose bytes must pass the daemon. */
  observedOnly: 1 << 11,
  /** Its file has several names, in the upper layer; in a lower one. */
  linked: 1 << 12,
  lowerLinked: 1 << 13,
  /** The alias for opens that must pass the daemon. */
  current: 1 << 14,
  /** Of the root: names below it are hidden, so the kernel's listings lack them. */
  hidesNames: 1 << 15,
} as const;

const Word = {
  state: 0,
  idLo: 1,
  idHi: 2,
  lookups: 3,
  /** The first name; of an alias: its node's slot. */
  names: 4,
  inoLo: 5,
  inoHi: 6,
  linkLo: 7,
  linkHi: 8,
  linkDevice: 9,
  /** Its last known path, in the arena. */
  lastPath: 10,
  /** Of a forgotten node: its directory's id. */
  parentLo: 11,
  parentHi: 12,
  /** A cached backing id for its next open, or 0, as also in a free slot. */
  cachedBacking: 13,
} as const;

/** Of a name in the arena, in words; then its bytes. */
const Name = { parent: 0, next: 1, length: 2, head: 12 } as const;

const HI = 2 ** 32;
const LAYER_SHIFT = 16;

export interface NewNode {
  id: number;
  /** S_IFMT bits. */
  kind: number;
  lookups: number;
  inoLo: number;
  inoHi: number;
}

export interface LinkKey {
  lo: number;
  hi: number;
  device: number;
}

export class NodeRecords {
  readonly #table: SlotTable;
  readonly #words: Uint32Array;
  readonly #arena: Arena;

  constructor(memory: JournalMemory, arena: Arena) {
    this.#table = new SlotTable(memory, "nodes");
    this.#words = memory.words;
    this.#arena = arena;
  }

  get used(): number {
    return this.#table.used;
  }
  get mark(): number {
    return this.#table.mark;
  }

  /** Returns its slot, or 0 if there is no room. A name, if it has one, belongs to the directory in `parent`'s slot. */
  addNode(node: NewNode, flags: number, parent: number, name: string): number {
    const slot = this.#table.take();
    if (slot === 0) return 0;
    const at = this.#table.at(slot);
    const words = this.#words;
    words[at + Word.idLo] = node.id >>> 0;
    words[at + Word.idHi] = Math.floor(node.id / HI);
    words[at + Word.lookups] = node.lookups;
    words[at + Word.inoLo] = node.inoLo;
    words[at + Word.inoHi] = node.inoHi;
    words[at + Word.linkLo] = 0;
    words[at + Word.linkHi] = 0;
    words[at + Word.lastPath] = 0;
    words[at + Word.names] = parent === 0 ? 0 : this.#newName(parent, name, 0);
    words[at + Word.state] = RecordKind.node | (node.kind >>> 8) | flags;
    return slot;
  }

  addAlias(id: number, node: number, about: { lookups: number; flags: number }): number {
    const slot = this.#table.take();
    if (slot === 0) return 0;
    const at = this.#table.at(slot);
    const words = this.#words;
    words[at + Word.idLo] = id >>> 0;
    words[at + Word.idHi] = Math.floor(id / HI);
    words[at + Word.lookups] = about.lookups;
    words[at + Word.names] = node;
    words[at + Word.lastPath] = 0;
    words[at + Word.state] = RecordKind.alias | about.flags;
    return slot;
  }

  setLookups(slot: number, lookups: number): void {
    this.#words[this.#table.at(slot) + Word.lookups] = lookups;
  }

  /** Only if both ids are in the same half of the number space, a killed process leaves one or the other. */
  setId(slot: number, id: number): void {
    const at = this.#table.at(slot);
    this.#words[at + Word.idHi] = Math.floor(id / HI);
    this.#words[at + Word.idLo] = id >>> 0;
  }

  setIno(slot: number, lo: number, hi: number): void {
    const at = this.#table.at(slot);
    this.#words[at + Word.inoLo] = lo;
    this.#words[at + Word.inoHi] = hi;
  }

  setLink(slot: number, flag: number, key: LinkKey | undefined): void {
    const at = this.#table.at(slot);
    const words = this.#words;
    words[at] = (words[at] as number) & ~(NodeFlag.linked | NodeFlag.lowerLinked);
    if (key === undefined) return;
    words[at + Word.linkLo] = key.lo;
    words[at + Word.linkHi] = key.hi;
    words[at + Word.linkDevice] = key.device;
    words[at] |= flag;
  }

  flag(slot: number, flag: number, on: boolean): void {
    const at = this.#table.at(slot);
    const was = this.#words[at] as number;
    this.#words[at] = on ? was | flag : was & ~flag;
  }

  setCachedBacking(slot: number, backingId: number): void {
    this.#words[this.#table.at(slot) + Word.cachedBacking] = backingId;
  }

  /** Removes the cached backing ids from the records. */
  *takeCachedBackings(): IterableIterator<number> {
    for (let slot = 1; slot < this.mark; slot++) {
      const at = this.#table.at(slot);
      const id = this.#words[at + Word.cachedBacking] as number;
      if (id === 0 || this.#words[at] === 0) continue;
      this.#words[at + Word.cachedBacking] = 0;
      yield id;
    }
  }

  /** A descriptor holds its object from now on; records the layer, and the last known path. */
  setNameless(slot: number, layer: number, lastPath: string): void {
    const at = this.#table.at(slot);
    const words = this.#words;
    const former = words[at + Word.lastPath] as number;
    words[at + Word.lastPath] = this.#arena.store(lastPath);
    words[at] = ((words[at] as number) & ~(0xff << LAYER_SHIFT)) | NodeFlag.nameless | (layer << LAYER_SHIFT);
    if (former !== 0) this.#arena.give(former, this.#arena.storedBytes(former));
  }

  addName(slot: number, parent: number, name: string): void {
    const at = this.#table.at(slot) + Word.names;
    this.#words[at] = this.#newName(parent, name, this.#words[at] as number);
  }

  removeName(slot: number, parent: number, name: string): void {
    const before = this.#find(slot, parent, name);
    if (before < 0) return;
    const ref = this.#words[before] as number;
    this.#words[before] = this.#words[this.#arena.at(ref) + Name.next] as number;
    this.#freeName(ref);
  }

  /** Replaces one name by another, in one step. */
  changeName(slot: number, from: { parent: number; name: string }, to: { parent: number; name: string }): void {
    const before = this.#find(slot, from.parent, from.name);
    if (before < 0) return this.addName(slot, to.parent, to.name);
    const ref = this.#words[before] as number;
    this.#words[before] = this.#newName(to.parent, to.name, this.#words[this.#arena.at(ref) + Name.next] as number);
    this.#freeName(ref);
  }

  remove(slot: number): void {
    const at = this.#table.at(slot);
    const words = this.#words;
    const isAlias = ((words[at] as number) & 3) === RecordKind.alias;
    let name = isAlias ? 0 : (words[at + Word.names] as number);
    const path = words[at + Word.lastPath] as number;
    if (words[at + Word.cachedBacking] !== 0) words[at + Word.cachedBacking] = 0;
    this.#table.give(slot);
    while (name !== 0) {
      const next = words[this.#arena.at(name) + Name.next] as number;
      this.#freeName(name);
      name = next;
    }
    if (path !== 0) this.#arena.give(path, this.#arena.storedBytes(path));
  }

  // --- reading ---------------------------------------------------------------------------------------------------

  kindOf(slot: number): number {
    return (this.#words[this.#table.at(slot)] as number) & 3;
  }
  has(slot: number, flag: number): boolean {
    return ((this.#words[this.#table.at(slot)] as number) & flag) !== 0;
  }
  /** S_IFMT bits. */
  modeOf(slot: number): number {
    return ((this.#words[this.#table.at(slot)] as number) & 0xf0) << 8;
  }
  layerOf(slot: number): number {
    return ((this.#words[this.#table.at(slot)] as number) >>> LAYER_SHIFT) & 0xff;
  }
  idOf(slot: number): number {
    const at = this.#table.at(slot);
    return (this.#words[at + Word.idHi] as number) * HI + (this.#words[at + Word.idLo] as number);
  }
  lookupsOf(slot: number): number {
    return this.#words[this.#table.at(slot) + Word.lookups] as number;
  }
  inoLo(slot: number): number {
    return this.#words[this.#table.at(slot) + Word.inoLo] as number;
  }
  inoHi(slot: number): number {
    return this.#words[this.#table.at(slot) + Word.inoHi] as number;
  }
  linkOf(slot: number): LinkKey {
    const at = this.#table.at(slot);
    const words = this.#words;
    return { lo: words[at + Word.linkLo] as number, hi: words[at + Word.linkHi] as number, device: words[at + Word.linkDevice] as number };
  }
  lastPathOf(slot: number): string | undefined {
    const ref = this.#words[this.#table.at(slot) + Word.lastPath] as number;
    return ref === 0 ? undefined : this.#arena.load(ref);
  }
  /** The node of an alias. */
  nodeOf(alias: number): number {
    return this.#words[this.#table.at(alias) + Word.names] as number;
  }
  /** The reference to the first name, or 0; then from one to the next. */
  firstName(slot: number): number {
    return this.#words[this.#table.at(slot) + Word.names] as number;
  }
  nextName(ref: number): number {
    return this.#words[this.#arena.at(ref) + Name.next] as number;
  }
  parentOf(ref: number): number {
    return this.#words[this.#arena.at(ref) + Name.parent] as number;
  }
  nameLength(ref: number): number {
    return this.#words[this.#arena.at(ref) + Name.length] as number;
  }
  /** The start of the name's bytes. */
  nameAt(ref: number): number {
    return this.#arena.at(ref) * 4 + Name.head;
  }
  nameText(ref: number): string {
    return this.#arena.readText(this.nameAt(ref), this.nameLength(ref));
  }

  /** The hash of a name and its directory: as NameHash.ofText of both. */
  hashName(ref: number, parent: number, by: NameHash): number {
    const start = this.nameAt(ref);
    return by.ofBytes(parent, this.#arena.bytes, start, start + this.nameLength(ref));
  }

  /** Finds the free slots and chunks after a restart. */
  recover(): void {
    this.#table.recover();
  }

  /** Every chunk of the arena that a record refers to. */
  walkChunks(used: (ref: number, sizeBytes: number) => void): void {
    for (let slot = 1; slot < this.mark; slot++) {
      const kind = this.kindOf(slot);
      if (kind === RecordKind.free) continue;
      const path = this.#words[this.#table.at(slot) + Word.lastPath] as number;
      if (path !== 0) used(path, this.#arena.storedBytes(path));
      // Of an alias it is its node.
      if (kind === RecordKind.alias && this.nodeOf(slot) >= this.mark) throw damaged(`record ${slot}`);
      if (kind === RecordKind.alias) continue;
      for (let name = this.firstName(slot); name !== 0; name = this.nextName(name)) {
        used(name, Name.head + this.nameLength(name));
        if (this.parentOf(name) >= this.mark) throw damaged(`record ${slot}`);
      }
    }
  }

  /** The word that refers to a name, or -1. */
  #find(slot: number, parent: number, name: string): number {
    let at = this.#table.at(slot) + Word.names;
    for (let ref = this.#words[at] as number; ref !== 0; ref = this.#words[at] as number) {
      const start = this.#arena.at(ref);
      if (this.#words[start + Name.parent] === parent && this.nameText(ref) === name) return at;
      at = start + Name.next;
    }
    return -1;
  }

  #newName(parent: number, name: string, next: number): number {
    const ref = this.#arena.take(Name.head + name.length);
    if (ref === 0) return next;
    const at = this.#arena.at(ref);
    this.#words[at + Name.parent] = parent;
    this.#words[at + Name.next] = next;
    this.#words[at + Name.length] = name.length;
    this.#arena.writeText(at * 4 + Name.head, name);
    return ref;
  }

  #freeName(ref: number): void {
    this.#arena.give(ref, Name.head + this.nameLength(ref));
  }
}
