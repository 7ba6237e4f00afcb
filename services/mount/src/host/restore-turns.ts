/**
 * The order in which a process takes mounts over: one after another, a few in each turn of the event loop. So the callers of the first ones
 * are answered before the last one is there, and a process with many mounts does nothing else for no longer than one of them takes. A part that
 * callers do not wait for has a turn of its own, after the last mount.
 */
import { setImmediate as nextTurn } from "node:timers/promises";

/** A slice is at least that long. */
const SLICE_MS = 5;
/** Callers of mounts that are served already can fill a turn. So a slice takes a multiple of the turn before it, or the last mount would wait long. */
const SHARE = 3;

export class RestoreTurns {
  #last: Promise<unknown> = Promise.resolve();
  #sliceBegan = 0;
  #sliceMs = 0;

  /** Resolves when it is this mount's turn. `begun`: it has done all that needs no answer from elsewhere; the next one waits no longer. */
  next(begun: Promise<void>): Promise<void> {
    const turn = this.#last.then(() => this.#within());
    this.#last = turn.then(() => Promise.race([begun, nextTurn()]));
    return turn;
  }

  async #within(): Promise<void> {
    const now = performance.now();
    if (now - this.#sliceBegan < this.#sliceMs) return;
    await nextTurn();
    this.#sliceBegan = performance.now();
    this.#sliceMs = Math.max(SLICE_MS, SHARE * (this.#sliceBegan - now));
  }
}
