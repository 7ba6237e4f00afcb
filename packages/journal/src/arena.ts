/**
 * Holds everything without a fixed size: names, paths, attachments. Chunks of some sizes, each used again for the same size:
 * so there is nothing to compact, and the arena never takes more than the peak use of each size.
 *
 * A chunk's size follows from its content. Free chunks are in a list for each size: the first word of one leads to the next. If the
 * lists are stale, the free chunks are those that no record refers to; so found, they are gaps of any size, which are cut up before more
 * memory is taken.
 */
import { damaged, Header, type JournalMemory, tableLayout } from "./layout.js";

/** Bytes of a unit; a reference counts units. 0 means none. */
const UNIT = 16;
/** Up to that many units there is a size for each, beyond for each power of two. */
const LINEAR = 20;

export class Arena {
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  readonly #base: number;
  readonly #capacity: number;

  constructor(memory: JournalMemory) {
    const layout = tableLayout(memory.words, "arena");
    this.words = memory.words;
    this.bytes = memory.bytes;
    this.#base = layout.base;
    this.#capacity = layout.capacity;
  }

  /** The word at which a chunk starts. */
  at(ref: number): number {
    return this.#base + ref * (UNIT / 4);
  }

  get mark(): number {
    return this.words[Header.arenaMark] as number;
  }

  /** A chunk of at least that many bytes, or 0 if there is no room. */
  take(sizeBytes: number): number {
    const { words } = this;
    const units = unitsOf(sizeBytes);
    const list = listOf(units);
    const next = this.mark;
    const free = words[list] as number;
    if (free !== 0 && free < next) {
      words[list] = words[this.at(free)] as number;
      return free;
    }
    const cut = words[Header.gaps] === 0 ? 0 : this.#cut(units);
    if (cut !== 0) return cut;
    if (next + units > this.#capacity) return 0;
    words[Header.arenaMark] = next + units;
    return next;
  }

  give(ref: number, sizeBytes: number): void {
    this.#addFree(ref, unitsOf(sizeBytes));
  }

  /** From the first gap that is large enough; smaller ones before it become chunks of their size. */
  #cut(units: number): number {
    const { words } = this;
    for (let gap = words[Header.gaps] as number; gap !== 0; gap = words[Header.gaps] as number) {
      const at = this.at(gap);
      const length = words[at + 1] as number;
      words[Header.gaps] = words[at] as number;
      if (length < units) {
        this.#fill(gap, length);
        continue;
      }
      if (length > units) this.#addGap(gap + units, length - units);
      return gap;
    }
    return 0;
  }

  #addGap(ref: number, units: number): void {
    const at = this.at(ref);
    this.words[at + 1] = units;
    this.words[at] = this.words[Header.gaps] as number;
    this.words[Header.gaps] = ref;
  }

  #addFree(ref: number, units: number): void {
    const list = listOf(units);
    this.words[this.at(ref)] = this.words[list] as number;
    this.words[list] = ref;
  }

  /**
   * Finds the free chunks again: `walk` reports all chunks in use, and continues from one to the next only after that.
   * @throws JournalError if one lies outside, or is reported twice: then it is in two lists, or its list is a circle
   */
  recover(walk: (used: (ref: number, sizeBytes: number) => void) => void): void {
    for (let list = Header.chunks; list <= Header.gaps; list++) this.words[list] = 0;
    const { mark } = this;
    const units = new Uint32Array(mark);
    walk((ref, sizeBytes) => {
      const inside = ref > 0 && ref < mark && sizeBytes <= (mark - ref) * UNIT;
      if (!inside || units[ref] !== 0) throw damaged(`chunk ${ref}`);
      units[ref] = unitsOf(sizeBytes);
    });
    let gap = 0;
    for (let at = 1; at < mark; ) {
      const size = units[at] as number;
      if (size === 0) {
        gap++;
        at++;
        continue;
      }
      if (gap > 0) this.#addGap(at - gap, gap);
      gap = 0;
      at += size;
    }
    if (gap > 0) this.#addGap(mark - gap, gap);
  }

  #fill(from: number, length: number): void {
    for (let at = from, left = length; left > 0; ) {
      const size = left <= LINEAR ? left : Math.max(LINEAR, 2 ** Math.floor(Math.log2(left)));
      this.#addFree(at, size);
      at += size;
      left -= size;
    }
  }

  /** May a record refer to it? For records of a process that died of its own writing. */
  holds(ref: number, sizeBytes: number): boolean {
    return ref > 0 && ref < this.mark && sizeBytes <= (this.mark - ref) * UNIT;
  }

  /** A byte string, preceded by its length. */
  store(text: string): number {
    const ref = this.take(4 + text.length);
    if (ref === 0) return 0;
    const at = this.at(ref);
    this.writeText(at * 4 + 4, text);
    this.words[at] = text.length;
    return ref;
  }

  load(ref: number): string {
    const at = this.at(ref);
    return this.readText(at * 4 + 4, this.words[at] as number);
  }

  storedBytes(ref: number): number {
    return 4 + (this.words[this.at(ref)] as number);
  }

  writeText(at: number, text: string): void {
    const { bytes } = this;
    const { length } = text;
    for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i);
  }

  readText(at: number, length: number): string {
    let text = "";
    for (let i = 0; i < length; i++) text += String.fromCharCode(this.bytes[at + i] as number);
    return text;
  }
}

/** The word with the first free chunk of a size. */
function listOf(units: number): number {
  return Header.chunks + (units <= LINEAR ? units : LINEAR + 32 - Math.clz32(units));
}

function unitsOf(sizeBytes: number): number {
  const units = (sizeBytes + UNIT - 1) >>> 4;
  return units <= LINEAR ? units : 2 ** Math.ceil(Math.log2(units));
}
