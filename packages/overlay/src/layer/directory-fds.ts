/**
 * A bounded cache of directory descriptors. A node holds none: trees have millions of names, and hard limits of 20,000
 * open files are common.
 *
 * Nothing is closed while a request is being served (a request may use several at once); the trim runs as a microtask,
 * after the turn of the event loop. So never keep a descriptor from here across an await: ask again.
 */
import { Errno } from "@sluice/vfs";
import { closeFd, openPathOf } from "./system-calls.js";
import type { RealDir } from "./host-layer.js";

export class DirectoryFds {
  readonly #ring: RealDir[] = [];
  readonly #max: number;
  #hand = 0;
  #trimming = false;

  constructor(max: number) {
    this.#max = Math.max(64, max);
  }

  get size(): number {
    return this.#ring.length;
  }

  /** The directory's O_PATH descriptor, or a negative errno. Valid until the next await. */
  of(dir: RealDir): number {
    if (dir.fd >= 0) {
      dir.used = true;
      return dir.fd;
    }
    // A layer's root has no parent, and neither has a directory that others took away (operations/revalidate.ts).
    return dir.parent === undefined ? -Errno.ESTALE : this.#open(dir);
  }

  /** Forgets a directory's descriptor: it was removed, or its node was forgotten. */
  drop(dir: RealDir): void {
    if (dir.fd < 0 || dir.parent === undefined) return;
    closeFd(dir.fd);
    dir.fd = -1;
    this.#remove(dir);
  }

  closeAll(): void {
    for (const dir of this.#ring) {
      closeFd(dir.fd);
      dir.fd = -1;
    }
    this.#ring.length = 0;
  }

  /** Opens the missing part of the chain from the nearest open ancestor; a loop, since trees may be very deep. */
  #open(dir: RealDir): number {
    const chain: RealDir[] = [];
    let at: RealDir = dir;
    while (at.fd < 0 && at.parent !== undefined) {
      chain.push(at);
      at = at.parent;
    }
    let fd = at.fd;
    for (let next = chain.pop(); next !== undefined; next = chain.pop()) {
      fd = openPathOf(fd, next.name);
      if (fd < 0) return fd;
      this.#admit(next, fd);
    }
    return fd;
  }

  #admit(dir: RealDir, fd: number): void {
    dir.fd = fd;
    dir.used = true;
    dir.slot = this.#ring.length;
    this.#ring.push(dir);
    if (this.#ring.length <= this.#max || this.#trimming) return;
    this.#trimming = true;
    queueMicrotask(() => this.#trim());
  }

  #trim(): void {
    this.#trimming = false;
    while (this.#ring.length > this.#max) {
      if (this.#hand >= this.#ring.length) this.#hand = 0;
      const dir = this.#ring[this.#hand] as RealDir;
      if (dir.used) {
        dir.used = false;
        this.#hand++;
        continue;
      }
      closeFd(dir.fd);
      dir.fd = -1;
      this.#remove(dir);
    }
  }

  #remove(dir: RealDir): void {
    const last = this.#ring.pop() as RealDir;
    if (last === dir) return;
    this.#ring[dir.slot] = last;
    last.slot = dir.slot;
  }
}
