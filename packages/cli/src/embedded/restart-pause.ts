/** The pause before something that ended is started again: it grows with each end that comes soon after the start. */

const FIRST_MS = 100;
const LONGEST_MS = 5_000;
/** Something that lived this long restarts quickly. */
const STABLE_MS = 10_000;

export class RestartPause {
  #startedMs = Date.now();
  #nextMs = FIRST_MS;
  /** Ends in a row that each came soon. */
  #quickEnds = 0;

  get quickEnds(): number {
    return this.#quickEnds;
  }

  started(): void {
    this.#startedMs = Date.now();
  }

  /** @returns the pause */
  ended(): number {
    if (Date.now() - this.#startedMs > STABLE_MS) {
      this.#nextMs = FIRST_MS;
      this.#quickEnds = 0;
    }
    this.#quickEnds++;
    const pauseMs = this.#nextMs;
    this.#nextMs = Math.min(this.#nextMs * 2, LONGEST_MS);
    return pauseMs;
  }
}
