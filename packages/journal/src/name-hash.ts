/**
 * Hashes of a name in a directory. Names are chosen by users, who must not know which ones meet: many that did would make each
 * look into a table a walk over all of them. So the table that bytes are mixed by is a random one, another for each object of this.
 */
import { randomFillSync } from "node:crypto";

export class NameHash {
  readonly #mixed = randomFillSync(new Uint32Array(256));

  /** 32 bits. `parent` is a whole number of up to 53; `name` is a string of bytes. */
  ofText(parent: number, name: string): number {
    let hash = this.#ofParent(parent);
    for (let at = 0; at < name.length; at++) hash = this.#with(hash, name.charCodeAt(at));
    return hash >>> 0;
  }

  /** The same of the name that is `bytes[start, end)`. */
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
