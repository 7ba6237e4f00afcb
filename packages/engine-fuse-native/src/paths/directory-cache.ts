/**
 * Directories by path, so that an operation need not walk from the root. Names change only through this engine, so an
 * entry is valid until a rename or a removal at or above it. Bounded: the least used entry is dropped first.
 */
import type { HeldNode } from "./held-node.js";
import { isAtOrBelow } from "./names.js";

export class DirectoryCache {
  readonly #byPath = new Map<string, HeldNode>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#byPath.size;
  }

  /** Adds a user. */
  get(path: string): HeldNode | undefined {
    const held = this.#byPath.get(path);
    if (held === undefined) return undefined;
    this.#byPath.delete(path);
    this.#byPath.set(path, held);
    return held.use();
  }

  set(path: string, held: HeldNode): void {
    this.#drop(path);
    this.#byPath.set(path, held.use());
    for (const oldest of this.#byPath.keys()) {
      if (this.#byPath.size <= this.#limit) break;
      this.#drop(oldest);
    }
  }

  /** Forgets `path` and all below. */
  invalidate(path: string): void {
    for (const known of [...this.#byPath.keys()]) if (isAtOrBelow(known, path)) this.#drop(known);
  }

  clear(): void {
    for (const path of [...this.#byPath.keys()]) this.#drop(path);
  }

  #drop(path: string): void {
    this.#byPath.get(path)?.letGo();
    this.#byPath.delete(path);
  }
}
