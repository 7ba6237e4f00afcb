/**
 * The time, for measuring how long requests take: each call of performance.now() leaves an object for its number behind, of which
 * a server of many requests has several for each.
 */
import { native } from "@sluice/native";

class Clock {
  readonly #us = new Float64Array(1);

  /** Looks. */
  tick(): void {
    native.monotonicClock(this.#us);
  }

  /** When it was looked at last: microseconds since some moment. */
  get us(): number {
    return this.#us[0] as number;
  }
}

export const clock = new Clock();
