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

/** It was there already, and says nothing of waiting. */
const AT_ONCE_US = 3;

export class Patience {
  readonly limitUs = LIMIT_US;
  #passOver = 0;
  #rarity = 0;

  /** Is the next request to be waited for, where none is there? */
  get waits(): boolean {
    return this.#passOver === 0;
  }

  /** There was none, and it was not waited for. */
  passedOver(): void {
    if (this.#passOver > 0) this.#passOver--;
  }

  /** What a wait came to. */
  waited(elapsedUs: number, rewarded: boolean): void {
    if (rewarded && elapsedUs <= DISTURBED_US) {
      if (elapsedUs > AT_ONCE_US) this.#rarity = 0;
      return;
    }
    this.#rarity = Math.min(RAREST, this.#rarity * 2 + 1);
    this.#passOver = this.#rarity;
  }
}
