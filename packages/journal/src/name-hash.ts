/**
 * Hashes of a name in a directory. Users choose names, and must not know which ones collide: each look-up would then walk over
 * all colliding names. So the table that mixes the bytes is random, and each object of this class has another one.
 */
import { randomFillSync } from "node:crypto";

export class NameHash {
  readonly #mixed: Uint32Array;

  /** `mixed`: 256 random words; those of another process give the same hashes as there. */
  constructor(mixed: Uint32Array = randomFillSync(new Uint32Array(256))) {
    this.#mixed = mixed;
  }

  /** 32 bits. `parent` is an integer of up to 53 bits; `name` is a byte string. */
  ofText(parent: number, name: string): number {
    let hash = this.#ofParent(parent);
    for (let at = 0; at < name.length; at++) hash = this.#with(hash, name.charCodeAt(at));
    return hash >>> 0;
  }

  /** The same for the name `bytes[start, end)`. */
  ofBytes(parent: number, bytes: Uint8Array, start: number, end: number): number {
    let hash = this.#ofParent(parent);
    for (let at = start; at < end; at++) hash = this.#with(hash, bytes[at] as number);
    return hash >>> 0;
  }

  #ofParent(parent: number): number {
    let hash = Math.floor(parent / 2 ** 32);
    for (let rest = parent | 0; rest !== 0; rest >>>= 8) hash = this.#with(hash, rest);
    return hash;
  }

  #with(hash: number, byte: number): number {
    return (hash >>> 8) ^ (this.#mixed[(hash ^ byte) & 0xff] as number);
  }
}
