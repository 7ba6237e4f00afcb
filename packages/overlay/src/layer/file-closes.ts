/**
 * Closes files whose data may be much. The last close of a removed file gives its space back, and that of a file that was written may write
 * what is in memory: up to a second for each GiB, in which the loop's thread would answer nobody. So the pool does that.
 */
import { sys } from "./system-calls.js";

export class FileCloses {
  readonly #late = new Set<Promise<unknown>>();

  /** The descriptor is the caller's no more. It is free at once unless the file is large. */
  close(fd: number): void {
    const closed = sys.closeFile(fd);
    if (typeof closed === "number") return;
    this.#late.add(closed);
    void closed.finally(() => this.#late.delete(closed));
  }

  /** Resolves when every descriptor is free; undefined if they are. */
  idle(): Promise<void> | undefined {
    return this.#late.size === 0 ? undefined : Promise.all(this.#late).then(() => undefined);
  }
}
