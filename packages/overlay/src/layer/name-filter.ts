/**
 * A Bloom filter of the names of a directory: tells of most names that the directory lacks that it lacks them, and never of one
 * that it has. It knows names of ASCII alone, since other names may have several spellings.
 */
import type { ByteName } from "@sluice/vfs";

/** Two of them are set for a name: one of 65 absent names is taken for one that may be there. */
const BITS_A_NAME = 16;
const WORD_BITS = 32;
const HALF = 16;
/** Both halves of a hash are indexes. */
const MOST_BITS = 1 << HALF;
const ASCII_END = 0x80;
const NOT_ASCII = -1;

export class NameFilter {
  /** So many names at most. */
  static readonly mostNames = MOST_BITS / BITS_A_NAME;
  readonly #bits: Uint32Array;
  readonly #mask: number;

  constructor(names: readonly ByteName[]) {
    let bits = WORD_BITS;
    while (bits < names.length * BITS_A_NAME) bits *= 2;
    this.#bits = new Uint32Array(bits / WORD_BITS);
    this.#mask = bits - 1;
    for (const name of names) this.#add(hashOf(name));
  }

  #add(hash: number): void {
    this.#set(hash & this.#mask);
    this.#set((hash >>> HALF) & this.#mask);
  }

  #set(bit: number): void {
    this.#bits[bit >>> 5] = (this.#bits[bit >>> 5] as number) | (1 << (bit & 31));
  }

  #has(bit: number): boolean {
    return ((this.#bits[bit >>> 5] as number) & (1 << (bit & 31))) !== 0;
  }

  /** True if the directory has no such name; false if it may have it. */
  lacks(name: ByteName): boolean {
    const hash = hashOf(name);
    return hash !== NOT_ASCII && !(this.#has(hash & this.#mask) && this.#has((hash >>> HALF) & this.#mask));
  }
}

export function isAscii(name: ByteName): boolean {
  return hashOf(name) !== NOT_ASCII;
}

/** FNV-1a, with its bits mixed once more (the end of MurmurHash3): 31 bits, or -1 for a name that is not ASCII. */
function hashOf(name: ByteName): number {
  let hash = 0x811c9dc5;
  let all = 0;
  for (let at = 0; at < name.length; at++) {
    const byte = name.charCodeAt(at);
    all |= byte;
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  if (all >= ASCII_END) return NOT_ASCII;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
