/**
 * How long to look for the next request before going to sleep. Most of what a round trip costs on an idle machine is waking
 * the server up, so a client that asks again at once is waited for; one that does not must not cost anything.
 *
 * A wait that comes to nothing, or that took much longer than it was meant to because others wanted the processor, makes the
 * next ones rarer, twice as rare each time; one that is rewarded makes them regular again. So an idle server sleeps, and on
 * a machine that is busy it sleeps nearly always.
 */

/** A client's next request comes after 5 to 30 us. */
const LIMIT_US = 40;
/** Waking up takes as long where a core sleeps. More than that, and somebody else had the processor. */
const DISTURBED_US = 3 * LIMIT_US;
/** At the rarest: a wait in so many ends of a burst. */
const RAREST = 256;

export class Patience {
  #passOver = 0;
  #rarity = 0;

  /** Microseconds to wait this time; 0: not at all. */
  limitUs(): number {
    if (this.#passOver === 0) return LIMIT_US;
    this.#passOver--;
    return 0;
  }

  /** What a wait came to. */
  waited(elapsedUs: number, rewarded: boolean): void {
    if (rewarded && elapsedUs <= DISTURBED_US) {
      this.#rarity = 0;
      return;
    }
    this.#rarity = Math.min(RAREST, this.#rarity * 2 + 1);
    this.#passOver = this.#rarity;
  }
}
