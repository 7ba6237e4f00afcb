/**
 * Decides whether to poll for the next request before the thread sleeps. On an idle machine waking the server is most of a
 * round trip, so polling pays for a client that sends its next request at once. It must cost nothing for other clients.
 *
 * A poll that finds nothing makes the next polls half as frequent. So does a poll that takes much longer than its limit,
 * because other threads wanted the processor. One successful poll makes them regular again. So an idle server sleeps, and on
 * a busy machine it nearly always sleeps.
 */
import { connections } from "./connections.js";

/** A client's next request comes after 5 to 30 us. */
const LIMIT_US = 40;
/** Waking up takes as long if a core sleeps. Beyond that, another thread had the processor. */
const DISTURBED_US = 3 * LIMIT_US;
/** At the rarest, the server polls once in so many ends of a burst. */
const RAREST = 256;

/** A request that is found so early was there before the poll, so it says nothing about polling. */
const AT_ONCE_US = 3;

export class AdaptiveBusyPoll {
  readonly limitUs = LIMIT_US;
  #skip = 0;
  #rarity = 0;

  /** Poll for the next request, if none is there? */
  get due(): boolean {
    return this.#skip === 0 && !connections.several;
  }

  /** No request was there, and the thread did not poll for one. */
  skipped(): void {
    if (this.#skip > 0) this.#skip--;
  }

  /** Records a poll: how long it took, and whether it found a request. */
  polled(elapsedUs: number, found: boolean): void {
    if (found && elapsedUs <= DISTURBED_US) {
      if (elapsedUs > AT_ONCE_US) this.#rarity = 0;
      return;
    }
    this.#rarity = Math.min(RAREST, this.#rarity * 2 + 1);
    this.#skip = this.#rarity;
  }
}
