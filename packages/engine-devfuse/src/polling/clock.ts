/**
 * The time, for measuring the duration of requests. Each call of performance.now() allocates an object for its number, and a server
 * of many requests needs several for each. Reads and writes of the device leave the time here themselves (device/channel.ts).
 */
import { native } from "@sluice/native";

class Clock {
  /** One number: the time. */
  readonly #memory = new Float64Array(1);
  /** The same, for the addon. */
  readonly bytes = new Uint8Array(this.#memory.buffer);

  /** Reads the time. */
  tick(): void {
    native.monotonicClock(this.bytes);
  }

  /** The last time read: microseconds since some moment. */
  get us(): number {
    return this.#memory[0] as number;
  }
}

export const clock = new Clock();
