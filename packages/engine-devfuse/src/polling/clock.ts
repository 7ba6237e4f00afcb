/**
 * The time, for measuring the duration of requests. Each call of performance.now() allocates an object for its number, and a server
 * of many requests needs several for each.
 */
import { native } from "@sluice/native";

class Clock {
  readonly #us = new Float64Array(1);

  /** Reads the time. */
  tick(): void {
    native.monotonicClock(this.#us);
  }

  /** The last time read: microseconds since some moment. */
  get us(): number {
    return this.#us[0] as number;
  }
}

export const clock = new Clock();
