/** Reads the records of nodes: see node-records.ts. */
import type { Arena } from "./arena.js";
import { Header, type JournalMemory } from "./layout.js";
import type { NameHash } from "./name-hash.js";
import { NodeIndex } from "./node-index.js";
import { HI, LAYER_SHIFT, Name, NamesOf, RecordKind, Word } from "./node-words.js";
import { SlotTable } from "./slot-table.js";

/** No name of a file system is longer. */
const LONGEST_NAME = 255;

export interface LinkKey {
  lo: number;
  hi: number;
  device: number;
}

export class NodeReading {
  protected readonly table: SlotTable;
  protected readonly words: Uint32Array;
  protected readonly arena: Arena;
  protected readonly names: NamesOf;
  protected readonly index: NodeIndex;

  constructor(memory: JournalMemory, arena: Arena, hash: NameHash) {
    this.table = new SlotTable(memory, "nodes");
    this.words = memory.words;
    this.arena = arena;
    this.names = new NamesOf(arena);
    this.index = new NodeIndex(this.table, this.names, hash);
  }

  get used(): number {
    return this.table.used;
  }
  get mark(): number {
    return this.table.mark;
  }
  /** The number of nodes and aliases. */
  get size(): number {
    return this.index.size;
  }
  /** The number of nodes that have a key of hard links. */
  get linked(): number {
    return this.words[Header.linked] as number;
  }

  kindOf(slot: number): number {
    return (this.words[this.table.at(slot)] as number) & 3;
  }
  has(slot: number, flag: number): boolean {
    return ((this.words[this.table.at(slot)] as number) & flag) !== 0;
  }
  /** S_IFMT bits. */
  modeOf(slot: number): number {
    return ((this.words[this.table.at(slot)] as number) & 0xf0) << 8;
  }
  layerOf(slot: number): number {
    return ((this.words[this.table.at(slot)] as number) >>> LAYER_SHIFT) & 0xff;
  }
  idOf(slot: number): number {
    const at = this.table.at(slot);
    return (this.words[at + Word.idHi] as number) * HI + (this.words[at + Word.idLo] as number);
  }
  lookupsOf(slot: number): number {
    return this.words[this.table.at(slot) + Word.lookups] as number;
  }
  inoLo(slot: number): number {
    return this.words[this.table.at(slot) + Word.inoLo] as number;
  }
  inoHi(slot: number): number {
    return this.words[this.table.at(slot) + Word.inoHi] as number;
  }
  linkOf(slot: number): LinkKey {
    const at = this.table.at(slot);
    const words = this.words;
    return { lo: words[at + Word.linkLo] as number, hi: words[at + Word.linkHi] as number, device: words[at + Word.linkDevice] as number };
  }
  lastPathOf(slot: number): string | undefined {
    const ref = this.words[this.table.at(slot) + Word.lastPath] as number;
    return ref === 0 ? undefined : this.arena.load(ref);
  }
  /** The node of an alias. */
  nodeOf(alias: number): number {
    return this.words[this.table.at(alias) + Word.names] as number;
  }
  /** The reference to the first name, or 0; then from one to the next. */
  firstName(slot: number): number {
    return this.words[this.table.at(slot) + Word.names] as number;
  }
  nextName(ref: number): number {
    return this.names.next(ref);
  }
  parentOf(ref: number): number {
    return this.names.parentOf(ref);
  }
  nameText(ref: number): string {
    return this.names.text(ref);
  }
  /** The number of names that are recorded in a directory. */
  childrenOf(slot: number): number {
    return this.words[this.table.at(slot) + Word.children] as number;
  }
  /** The first alias of a node that is no directory, or 0; of an alias the next one. */
  nextAlias(slot: number): number {
    return this.words[this.table.at(slot) + Word.children] as number;
  }
  /** The slot of a node or an alias, or 0. */
  byId(id: number): number {
    return this.index.byId(id >>> 0, Math.floor(id / HI));
  }
  /** The slot of a node that `accepts` it, or 0. */
  byName(parent: number, name: string, accepts: (slot: number) => boolean): number {
    return this.index.byName(parent, name, accepts);
  }

  /** Does every reference in it lead to something, and none in a circle? A process may have died of its own writing. */
  isSound(slot: number): boolean {
    if (this.kindOf(slot) === RecordKind.alias) return this.nodeOf(slot) < this.mark;
    let left = this.mark;
    for (let ref = this.firstName(slot); ref !== 0; ref = this.nextName(ref)) {
      if (--left < 0 || !this.arena.holds(ref, Name.head)) return false;
      const length = this.names.nameLength(ref);
      if (length > LONGEST_NAME || !this.arena.holds(ref, Name.head + length) || this.parentOf(ref) >= this.mark) return false;
    }
    return true;
  }
}
