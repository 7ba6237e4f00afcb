/**
 * Closes files that may hold much data. The last close of a removed file gives its space back. A close of a written file may write its pages.
 * Both take up to a second for each GiB, and the loop's thread answers nobody meanwhile. So the pool closes these files.
 */
import { sys } from "./system-calls.js";

/** Of all mounts. Descriptors that wait for a slow disk must leave some for others. */
const MOST_WAITING = 128;
let waiting = 0;

export class FileCloses {
  readonly #late = new Set<Promise<unknown>>();

  /** The descriptor is the caller's no more. It is free at once unless the file is large. */
  close(fd: number): void {
    const closed = waiting < MOST_WAITING ? sys.closeFile(fd) : sys.close(fd);
    if (typeof closed === "number") return;
    waiting++;
    this.#late.add(closed);
    void closed.finally(() => {
      waiting--;
      this.#late.delete(closed);
    });
  }

  /** Resolves when every descriptor is free; undefined if they are. */
  idle(): Promise<void> | undefined {
    return this.#late.size === 0 ? undefined : Promise.all(this.#late).then(() => undefined);
  }
}
