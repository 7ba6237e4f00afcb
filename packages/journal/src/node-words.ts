/** The words of a node's record, and those of a name. */
import type { Arena } from "./arena.js";

export const RecordKind = {
  free: 0,
  /** A node under its own id. */
  node: 1,
  /** A further id of a node. */
  alias: 2,
  /** No node: the entry of the index for a further name of one. */
  furtherName: 3,
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
  /** It is a copy of the file in the lower layer whose key it has, by one of several names. It may have several in the upper layer, too. */
  parted: 1 << 24,
} as const;

/** It has a key of hard links. */
export const LINKS = NodeFlag.linked | NodeFlag.lowerLinked;
/** Of the layer's number in the first word. */
export const LAYER_SHIFT = 16;
/** The weight of the second half of a number of two words. */
export const HI = 2 ** 32;

export const Word = {
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
  /** Of an entry for a further name: the slot of its node. */
  owner: 9,
  /** Its last known path, in the arena. */
  lastPath: 10,
  /** The name for which the record is in the index, or 0. */
  entryOf: 11,
  /** Of a directory: the number of names in it that are recorded. Of another node: its first alias; of an alias: the next one. */
  children: 12,
  /** A cached backing id for its next open, or 0, as also in a free slot. */
  cachedBacking: 13,
  /** The next record in its bucket of ids; of names. */
  nextOfId: 14,
  nextOfName: 15,
  words: 16,
} as const;

/** Of a name in the arena, in words; then its bytes. */
export const Name = { parent: 0, next: 1, length: 2, head: 12 } as const;

/** Reads the names in the arena by their references. */
export class NamesOf {
  readonly bytes: Uint8Array;
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.bytes = arena.bytes;
    this.#arena = arena;
  }

  next(ref: number): number {
    return this.#arena.words[this.#arena.at(ref) + Name.next] as number;
  }
  /** The slot of the directory that it is in. */
  parentOf(ref: number): number {
    return this.#arena.words[this.#arena.at(ref) + Name.parent] as number;
  }
  nameLength(ref: number): number {
    return this.#arena.words[this.#arena.at(ref) + Name.length] as number;
  }
  /** The start of the name's bytes. */
  nameAt(ref: number): number {
    return this.#arena.at(ref) * 4 + Name.head;
  }
  text(ref: number): string {
    return this.#arena.readText(this.nameAt(ref), this.nameLength(ref));
  }
}
