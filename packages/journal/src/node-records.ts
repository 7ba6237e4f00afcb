/**
 * The kernel's knowledge of nodes: their ids with its references, their names, and facts that another look at the layers
 * cannot find. The place of a node's object is not here: its name leads there.
 */
import { damaged, Header } from "./layout.js";
import { type LinkKey, NodeReading } from "./node-reading.js";
import { HI, LAYER_SHIFT, LINKS, Name, NodeFlag, RecordKind, Word } from "./node-words.js";

export interface NewNode {
  id: number;
  /** S_IFMT bits. */
  kind: number;
  lookups: number;
  inoLo: number;
  inoHi: number;
}

export class NodeRecords extends NodeReading {
  /** Between both, a killed process leaves the index and the free lists unusable: the next process makes them again. */
  #begin(): void {
    this.words[Header.busy] = 1;
  }
  #end(): void {
    this.words[Header.busy] = 0;
  }

  /** Returns its slot, or 0 if there is no room for it and its name. The name, if it has one, belongs to the directory in `parent`'s slot. */
  addNode(node: NewNode, flags: number, parent: number, name: string): number {
    this.#begin();
    const slot = this.#takeSlot(node.id);
    if (slot === 0) return 0;
    const ref = parent === 0 ? 0 : this.#newName(parent, name, 0);
    if (parent !== 0 && ref === 0) {
      this.table.give(slot);
      this.#end();
      return 0;
    }
    const at = this.table.at(slot);
    const words = this.words;
    words[at + Word.lookups] = node.lookups;
    words[at + Word.inoLo] = node.inoLo;
    words[at + Word.inoHi] = node.inoHi;
    words[at + Word.linkLo] = 0;
    words[at + Word.linkHi] = 0;
    words[at + Word.names] = ref;
    words[at + Word.state] = RecordKind.node | (node.kind >>> 8) | flags;
    this.index.addId(slot);
    if (ref !== 0) this.#enterName(slot, ref);
    this.#end();
    return slot;
  }

  /** Returns its slot, or 0 if there is no room for it, or was none for its node (`node` is 0). */
  addAlias(id: number, node: number, about: { lookups: number; flags: number }): number {
    if (node === 0) return 0;
    this.#begin();
    const slot = this.#takeSlot(id);
    if (slot === 0) return 0;
    const at = this.table.at(slot);
    const words = this.words;
    words[at + Word.lookups] = about.lookups;
    words[at + Word.names] = node;
    words[at + Word.state] = RecordKind.alias | about.flags;
    this.index.addId(slot);
    this.#chainAlias(slot);
    this.#end();
    return slot;
  }

  #takeSlot(id: number): number {
    const slot = this.table.take();
    if (slot === 0) {
      this.#end();
      return 0;
    }
    const at = this.table.at(slot);
    const words = this.words;
    words[at + Word.idLo] = id >>> 0;
    words[at + Word.idHi] = Math.floor(id / HI);
    words[at + Word.lastPath] = 0;
    words[at + Word.entryOf] = 0;
    words[at + Word.children] = 0;
    return slot;
  }

  #chainAlias(slot: number): void {
    const words = this.words;
    const node = this.table.at(this.nodeOf(slot));
    words[this.table.at(slot) + Word.children] = words[node + Word.children] as number;
    words[node + Word.children] = slot;
  }

  #unchainAlias(slot: number): void {
    const words = this.words;
    let at = this.table.at(this.nodeOf(slot)) + Word.children;
    for (let left = this.mark; words[at] !== 0 && left > 0; left--) {
      const alias = this.table.at(words[at] as number) + Word.children;
      if (words[at] === slot) {
        words[at] = words[alias] as number;
        return;
      }
      at = alias;
    }
  }

  /** The index and the directory get a name of a node. */
  #enterName(slot: number, ref: number): void {
    this.index.addName(slot, ref);
    this.#countChild(this.parentOf(ref), 1);
  }

  #countChild(parent: number, more: number): void {
    const at = this.table.at(parent) + Word.children;
    this.words[at] = Math.max(0, (this.words[at] as number) + more);
  }

  setLookups(slot: number, lookups: number): void {
    this.words[this.table.at(slot) + Word.lookups] = lookups;
  }

  /** Only if both ids are in the same half of the number space, a killed process leaves one or the other. */
  setId(slot: number, id: number): void {
    const at = this.table.at(slot);
    this.#begin();
    this.index.removeId(slot);
    this.words[at + Word.idHi] = Math.floor(id / HI);
    this.words[at + Word.idLo] = id >>> 0;
    this.index.addId(slot);
    this.#end();
  }

  setIno(slot: number, lo: number, hi: number): void {
    const at = this.table.at(slot);
    this.words[at + Word.inoLo] = lo;
    this.words[at + Word.inoHi] = hi;
  }

  setLink(slot: number, flag: number, key: LinkKey | undefined): void {
    const at = this.table.at(slot);
    const words = this.words;
    this.#begin();
    this.#setState(at, (words[at] as number) & ~(LINKS | NodeFlag.parted));
    if (key !== undefined) {
      words[at + Word.linkLo] = key.lo;
      words[at + Word.linkHi] = key.hi;
      words[at + Word.linkDevice] = key.device;
      this.#setState(at, (words[at] as number) | flag);
    }
    this.#end();
  }

  flag(slot: number, flag: number, on: boolean): void {
    const at = this.table.at(slot);
    const was = this.words[at] as number;
    if ((flag & LINKS) !== 0) this.#begin();
    this.#setState(at, on ? was | flag : was & ~flag);
    if ((flag & LINKS) !== 0) this.#end();
  }

  /** The first word of a record that is in use, before and after. */
  #setState(at: number, state: number): void {
    const words = this.words;
    const more = Number((state & LINKS) !== 0) - Number(((words[at] as number) & LINKS) !== 0);
    words[at] = state;
    if (more !== 0) words[Header.linked] = (words[Header.linked] as number) + more;
  }

  setCachedBacking(slot: number, backingId: number): void {
    this.words[this.table.at(slot) + Word.cachedBacking] = backingId;
  }

  /** Removes the cached backing id from a record, and returns it; or 0. */
  takeCachedBacking(slot: number): number {
    const at = this.table.at(slot);
    const id = this.words[at + Word.cachedBacking] as number;
    if (id === 0 || this.words[at] === 0) return 0;
    this.words[at + Word.cachedBacking] = 0;
    return id;
  }

  /** A descriptor holds its object from now on; records the layer, and the last known path. */
  setNameless(slot: number, layer: number, lastPath: string): void {
    const at = this.table.at(slot);
    const words = this.words;
    const former = words[at + Word.lastPath] as number;
    words[at + Word.lastPath] = this.arena.store(lastPath);
    words[at] = ((words[at] as number) & ~(0xff << LAYER_SHIFT)) | NodeFlag.nameless | (layer << LAYER_SHIFT);
    if (former !== 0) this.arena.give(former, this.arena.storedBytes(former));
  }

  addName(slot: number, parent: number, name: string): void {
    this.#begin();
    this.#addName(slot, parent, name);
    this.#end();
  }

  #addName(slot: number, parent: number, name: string): void {
    const at = this.table.at(slot) + Word.names;
    const first = this.words[at] as number;
    const ref = this.#newName(parent, name, first);
    if (ref === first) return;
    this.words[at] = ref;
    this.#enterName(slot, ref);
  }

  removeName(slot: number, parent: number, name: string): void {
    const before = this.#find(slot, parent, name);
    if (before < 0) return;
    this.#begin();
    const ref = this.words[before] as number;
    this.words[before] = this.nextName(ref);
    this.#freeName(ref);
    this.#end();
  }

  /** Replaces one name by another, in one step. */
  changeName(slot: number, from: { parent: number; name: string }, to: { parent: number; name: string }): void {
    const before = this.#find(slot, from.parent, from.name);
    if (before < 0) return this.addName(slot, to.parent, to.name);
    this.#begin();
    const ref = this.words[before] as number;
    const next = this.nextName(ref);
    const changed = this.#newName(to.parent, to.name, next);
    this.words[before] = changed;
    this.#freeName(ref);
    if (changed !== next) this.#enterName(slot, changed);
    this.#end();
  }

  remove(slot: number): void {
    const at = this.table.at(slot);
    const words = this.words;
    const isAlias = ((words[at] as number) & 3) === RecordKind.alias;
    let name = isAlias ? 0 : (words[at + Word.names] as number);
    const path = words[at + Word.lastPath] as number;
    this.#begin();
    this.index.removeId(slot);
    if (isAlias) this.#unchainAlias(slot);
    if (words[at + Word.cachedBacking] !== 0) words[at + Word.cachedBacking] = 0;
    // With this store it is gone; the rest is tidied up.
    this.#setState(at, 0);
    while (name !== 0) {
      const next = this.nextName(name);
      this.#freeName(name);
      name = next;
    }
    this.table.give(slot);
    if (path !== 0) this.arena.give(path, this.arena.storedBytes(path));
    this.#end();
  }

  /** Finds the free slots, and makes the index again. The arena's chunks must be known. */
  recover(): void {
    this.index.clear();
    this.table.recover();
    let linked = 0;
    for (let slot = 1; slot < this.mark; slot++) {
      const kind = this.kindOf(slot);
      if (kind !== RecordKind.node && kind !== RecordKind.alias) continue;
      this.index.addId(slot);
      if (kind === RecordKind.alias) {
        this.#chainAlias(slot);
        continue;
      }
      if (this.has(slot, LINKS)) linked++;
      for (let name = this.firstName(slot); name !== 0; name = this.nextName(name)) this.#enterName(slot, name);
    }
    this.words[Header.linked] = linked;
  }

  /** Every chunk of the arena that a record refers to. */
  walkChunks(used: (ref: number, sizeBytes: number) => void): void {
    for (let slot = 1; slot < this.mark; slot++) {
      const kind = this.kindOf(slot);
      if (kind === RecordKind.free || kind === RecordKind.furtherName) continue;
      const path = this.words[this.table.at(slot) + Word.lastPath] as number;
      if (path !== 0) used(path, this.arena.storedBytes(path));
      // Of an alias it is its node.
      if (kind === RecordKind.alias && this.nodeOf(slot) >= this.mark) throw damaged(`record ${slot}`);
      if (kind === RecordKind.alias) continue;
      for (let name = this.firstName(slot); name !== 0; name = this.nextName(name)) {
        used(name, Name.head + this.names.nameLength(name));
        if (this.parentOf(name) >= this.mark) throw damaged(`record ${slot}`);
      }
    }
  }

  /** A name that did not fit is missing. */
  hasName(slot: number, parent: number, name: string): boolean {
    return this.#find(slot, parent, name) >= 0;
  }

  /** The word that refers to a name, or -1. */
  #find(slot: number, parent: number, name: string): number {
    let at = this.table.at(slot) + Word.names;
    for (let ref = this.words[at] as number; ref !== 0; ref = this.words[at] as number) {
      const start = this.arena.at(ref);
      if (this.words[start + Name.parent] === parent && this.nameText(ref) === name) return at;
      at = start + Name.next;
    }
    return -1;
  }

  #newName(parent: number, name: string, next: number): number {
    const ref = this.arena.take(Name.head + name.length);
    if (ref === 0) return next;
    const at = this.arena.at(ref);
    this.words[at + Name.parent] = parent;
    this.words[at + Name.next] = next;
    this.words[at + Name.length] = name.length;
    this.arena.writeText(at * 4 + Name.head, name);
    return ref;
  }

  /** No record refers to it any more, but the index. */
  #freeName(ref: number): void {
    this.index.removeName(ref);
    this.#countChild(this.parentOf(ref), -1);
    this.arena.give(ref, Name.head + this.names.nameLength(ref));
  }
}
