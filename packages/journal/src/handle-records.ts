/** Open files and directories as the kernel knows them, and the attachments of other packages to them. */
import type { Arena } from "./arena.js";
import type { JournalMemory } from "./layout.js";
import { SlotTable } from "./slot-table.js";

const Word = {
  state: 0,
  handleLo: 1,
  handleHi: 2,
  node: 3,
  idLo: 4,
  idHi: 5,
  flags: 6,
  backing: 7,
  attached: 8,
  /** Of a directory: the way its names are read (see `Reading`), and their number. */
  reading: 9,
  rows: 10,
  /** The slot of the request that opened it, and the low word of that request's unique. */
  request: 11,
  unique: 12,
  /** The errno for its refused transfers, or 0. */
  refused: 13,
} as const;

const FILE = 1;
const DIRECTORY = 2;
const WRITE = 1 << 8;
const MODE_SHIFT = 4;
const LAYER_SHIFT = 16;
const HI = 2 ** 32;

/** The request whose answer tells the kernel of it: its slot, and the low word of its unique. */
export interface OpenedBy {
  slot: number;
  unique: number;
}

export interface FileRecord {
  kind: "file";
  handle: number;
  /** The slot of its node, and the id by which it was opened. */
  node: number;
  nodeId: number;
  /** Index of the mode in the caller's list. */
  mode: number;
  write: boolean;
  /** O_ flags of its open. */
  flags: number;
  /** The index of the layer of its file. */
  layer: number;
  /** 0: none. */
  backingId: number;
}

export interface DirectoryRecord {
  kind: "directory";
  handle: number;
  node: number;
  /** 0: not begun; 1: a list of `rows` names; n + 2: as layer n's file system has it. */
  reading: number;
  rows: number;
}

export class HandleRecords {
  readonly #table: SlotTable;
  readonly #words: Uint32Array;
  readonly #arena: Arena;

  constructor(memory: JournalMemory, arena: Arena) {
    this.#table = new SlotTable(memory, "handles");
    this.#words = memory.words;
    this.#arena = arena;
  }

  get used(): number {
    return this.#table.used;
  }

  /** Its slot, or 0 if there is no room. */
  addFile(file: Omit<FileRecord, "kind">, by: OpenedBy): number {
    const slot = this.#table.take();
    if (slot === 0) return 0;
    const at = this.#table.at(slot);
    const words = this.#words;
    words[at + Word.handleLo] = file.handle >>> 0;
    words[at + Word.handleHi] = Math.floor(file.handle / HI);
    words[at + Word.node] = file.node;
    words[at + Word.idLo] = file.nodeId >>> 0;
    words[at + Word.idHi] = Math.floor(file.nodeId / HI);
    words[at + Word.flags] = file.flags;
    words[at + Word.backing] = file.backingId;
    words[at + Word.attached] = 0;
    words[at + Word.refused] = 0;
    words[at + Word.request] = by.slot;
    words[at + Word.unique] = by.unique;
    words[at + Word.state] = FILE | (file.mode << MODE_SHIFT) | (file.write ? WRITE : 0) | (file.layer << LAYER_SHIFT);
    return slot;
  }

  addDirectory(handle: number, node: number, by: OpenedBy): number {
    const slot = this.#table.take();
    if (slot === 0) return 0;
    const at = this.#table.at(slot);
    const words = this.#words;
    words[at + Word.handleLo] = handle >>> 0;
    words[at + Word.handleHi] = Math.floor(handle / HI);
    words[at + Word.node] = node;
    words[at + Word.attached] = 0;
    words[at + Word.request] = by.slot;
    words[at + Word.unique] = by.unique;
    words[at + Word.reading] = 0;
    words[at + Word.rows] = 0;
    words[at + Word.state] = DIRECTORY;
    return slot;
  }

  /** Changes the way an open directory's names are read: see DirectoryRecord. */
  setReading(slot: number, reading: number, rows: number): void {
    const at = this.#table.at(slot);
    this.#words[at + Word.rows] = rows;
    this.#words[at + Word.reading] = reading;
  }

  setRefused(slot: number, errno: number): void {
    this.#words[this.#table.at(slot) + Word.refused] = errno;
  }

  refusedBy(slot: number): number {
    return this.#words[this.#table.at(slot) + Word.refused] as number;
  }

  openedBy(slot: number): OpenedBy {
    const at = this.#table.at(slot);
    return { slot: this.#words[at + Word.request] as number, unique: this.#words[at + Word.unique] as number };
  }

  setLayer(slot: number, layer: number): void {
    const at = this.#table.at(slot);
    this.#words[at] = ((this.#words[at] as number) & 0xffff) | (layer << LAYER_SHIFT);
  }

  /** A byte string that belongs to an open file, and not to the overlay. @returns false if there is no room: then the file has none */
  attach(slot: number, text: string): boolean {
    const at = this.#table.at(slot) + Word.attached;
    const former = this.#words[at] as number;
    const ref = this.#arena.store(text);
    this.#words[at] = ref;
    if (former !== 0) this.#arena.give(former, this.#arena.storedBytes(former));
    return ref !== 0;
  }

  attachedTo(slot: number): string | undefined {
    const ref = this.#words[this.#table.at(slot) + Word.attached] as number;
    return ref === 0 ? undefined : this.#arena.load(ref);
  }

  remove(slot: number): void {
    const attached = this.#words[this.#table.at(slot) + Word.attached] as number;
    this.#table.give(slot);
    if (attached !== 0) this.#arena.give(attached, this.#arena.storedBytes(attached));
  }

  recover(): void {
    this.#table.recover();
  }

  walkChunks(used: (ref: number, sizeBytes: number) => void): void {
    for (const slot of this.slots()) {
      const attached = this.#words[this.#table.at(slot) + Word.attached] as number;
      if (attached !== 0) used(attached, this.#arena.storedBytes(attached));
    }
  }

  *slots(): IterableIterator<number> {
    for (let slot = 1; slot < this.#table.mark; slot++) if (this.#words[this.#table.at(slot)] !== 0) yield slot;
  }

  read(slot: number): FileRecord | DirectoryRecord {
    const at = this.#table.at(slot);
    const words = this.#words;
    const state = words[at] as number;
    const handle = (words[at + Word.handleHi] as number) * HI + (words[at + Word.handleLo] as number);
    const node = words[at + Word.node] as number;
    if ((state & 3) === DIRECTORY) {
      return { kind: "directory", handle, node, reading: words[at + Word.reading] as number, rows: words[at + Word.rows] as number };
    }
    return {
      kind: "file",
      handle,
      node,
      nodeId: (words[at + Word.idHi] as number) * HI + (words[at + Word.idLo] as number),
      mode: (state >>> MODE_SHIFT) & 0xf,
      write: (state & WRITE) !== 0,
      flags: words[at + Word.flags] as number,
      layer: (state >>> LAYER_SHIFT) & 0xff,
      backingId: words[at + Word.backing] as number,
    };
  }
}
