/**
 * Memory files that servers store (lists of directories that are half read). Each is sealed, so that its checked size stays true; and all of
 * them together are bounded, since they outlive the server that filled them.
 */
import { native, SEAL } from "@sluice/native";
import { sizeOf } from "./registrar.js";

const SEALED = SEAL.GROW | SEAL.SHRINK | SEAL.WRITE;
const LIMIT_BYTES = 256 << 20;

export class StoredMemory {
  readonly #sizes = new Map<bigint, number>();
  #total = 0;

  /** Whether `fd` may be stored under `key`, in place of the file there. If so, it counts from now on. */
  admits(key: bigint, fd: number): boolean {
    const seals = native.sealsOf(fd);
    if (seals < 0 || (seals & SEALED) !== SEALED) return false;
    const size = sizeOf(fd);
    const others = this.#total - (this.#sizes.get(key) ?? 0);
    if (size < 0 || others + size > LIMIT_BYTES) return false;
    this.#sizes.set(key, size);
    this.#total = others + size;
    return true;
  }

  gone(key: bigint): void {
    this.#total -= this.#sizes.get(key) ?? 0;
    this.#sizes.delete(key);
  }
}
