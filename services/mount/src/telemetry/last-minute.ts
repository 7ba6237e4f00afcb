/** Counts events of the last minute, by second. Adding allocates nothing. */

const SECONDS = 60;

export class LastMinute {
  readonly #counts = new Float64Array(SECONDS);
  /** The second that each count belongs to. */
  readonly #seconds = new Float64Array(SECONDS).fill(Number.NEGATIVE_INFINITY);

  add(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    const at = second % SECONDS;
    if (this.#seconds[at] !== second) {
      this.#seconds[at] = second;
      this.#counts[at] = 0;
    }
    this.#counts[at] = (this.#counts[at] as number) + 1;
  }

  /** Of the last 60 seconds, the running one included. */
  count(nowMs: number): number {
    const oldest = Math.floor(nowMs / 1000) - SECONDS;
    return this.#counts.reduce((sum, count, at) => ((this.#seconds[at] as number) > oldest ? sum + count : sum), 0);
  }
}
