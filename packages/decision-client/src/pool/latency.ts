/** The time after which an answer is late: 99 of the last hundred answers came within it. */

const SAMPLES = 512;
const AGAIN_EVERY = 128;
/** Fewer answers are not enough. */
const ENOUGH = 64;
const UNKNOWN_MS = 50;
const LEAST_MS = 5;
const MOST_MS = 1_000;

export class Latency {
  readonly #samples = new Float64Array(SAMPLES);
  #count = 0;
  #lateMs = UNKNOWN_MS;

  observe(ms: number): void {
    this.#samples[this.#count++ % SAMPLES] = ms;
    if (this.#count < ENOUGH || this.#count % AGAIN_EVERY !== 0) return;
    const sorted = this.#samples.slice(0, Math.min(this.#count, SAMPLES)).sort();
    this.#lateMs = Math.min(MOST_MS, Math.max(LEAST_MS, sorted[Math.floor(sorted.length * 0.99)] as number));
  }

  get lateMs(): number {
    return this.#lateMs;
  }
}
