/** Bytes a second, shared by whoever has the same key: a bucket that fills with time and holds one second's worth. */

interface Bucket {
  bytesPerSecond: number;
  level: number;
  filledMs: number;
  users: number;
}

export class RateLimits {
  readonly #buckets = new Map<string, Bucket>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Of several rates under one key the newest holds, as the policy was changed. */
  join(key: string, bytesPerSecond: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      this.#buckets.set(key, { bytesPerSecond, level: bytesPerSecond, filledMs: this.#now(), users: 1 });
      return;
    }
    bucket.bytesPerSecond = bytesPerSecond;
    bucket.users++;
  }

  leave(key: string): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined && --bucket.users === 0) this.#buckets.delete(key);
  }

  /**
   * Takes bytes, at once, and returns how long to wait before they may move, in ms. The bucket goes into debt, so that who
   * comes later waits behind who came before.
   */
  take(key: string, bytes: number): number {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return 0;
    const now = this.#now();
    const { bytesPerSecond } = bucket;
    bucket.level = Math.min(bytesPerSecond, bucket.level + ((now - bucket.filledMs) / 1000) * bytesPerSecond);
    bucket.filledMs = now;
    bucket.level -= bytes;
    return bucket.level >= 0 ? 0 : (-bucket.level / bytesPerSecond) * 1000;
  }

  /** What was taken and did not move. */
  giveBack(key: string, bytes: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.level += bytes;
  }
}
