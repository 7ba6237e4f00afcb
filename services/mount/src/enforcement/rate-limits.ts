/**
 * Rates in bytes per second, shared by all opens with the same key: a bucket that fills with time and holds one second's worth. An unused
 * bucket stays until it is full, so that a new open gets the rest, not another second's worth.
 */

interface Bucket {
  bytesPerSecond: number;
  level: number;
  filledMs: number;
  users: number;
}

export class RateLimits {
  readonly #buckets = new Map<string, Bucket>();
  /** Unused buckets that may not be full yet. */
  readonly #left = new Set<string>();
  #sweptMs = Number.NEGATIVE_INFINITY;
  readonly #now: () => number;
  /** At this time each bucket was empty, as far as anybody knows. */
  readonly #emptyMs: number;

  /** `beginsSpent`: use before now is unknown, so no bucket has more than it got since. */
  constructor({ now = () => performance.now(), beginsSpent = false }: { now?: () => number; beginsSpent?: boolean } = {}) {
    this.#now = now;
    this.#emptyMs = beginsSpent ? now() : Number.NEGATIVE_INFINITY;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** The newest of several rates under one key holds, since the policy has changed. */
  join(key: string, bytesPerSecond: number): void {
    this.#sweep();
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      const begun: Bucket = { bytesPerSecond, level: 0, filledMs: this.#emptyMs, users: 1 };
      fill(begun, this.#now());
      this.#buckets.set(key, begun);
      return;
    }
    bucket.bytesPerSecond = bytesPerSecond;
    bucket.users++;
    this.#left.delete(key);
  }

  /** `forGood`: no open can have this key again. */
  leave(key: string, forGood: boolean): void {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined || --bucket.users > 0) return;
    if (forGood) this.#buckets.delete(key);
    else this.#left.add(key);
    this.#sweep();
  }

  /**
   * Takes bytes at once. @returns the wait before they may move, in ms. The bucket goes into debt, so that later transfers wait behind
   * earlier ones.
   */
  take(key: string, bytes: number): number {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return 0;
    fill(bucket, this.#now());
    bucket.level -= bytes;
    return bucket.level >= 0 ? 0 : (-bucket.level / bucket.bytesPerSecond) * 1000;
  }

  /** Gives back bytes that were taken and did not move. */
  giveBack(key: string, bytes: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.level += bytes;
  }

  /** At most once a second, so that it costs each open next to nothing. */
  #sweep(): void {
    const now = this.#now();
    if (this.#left.size === 0 || now - this.#sweptMs < SWEEP_MS) return;
    this.#sweptMs = now;
    for (const key of this.#left) {
      const bucket = this.#buckets.get(key) as Bucket;
      fill(bucket, now);
      if (bucket.level < bucket.bytesPerSecond) continue;
      this.#buckets.delete(key);
      this.#left.delete(key);
    }
  }
}

const SWEEP_MS = 1_000;

function fill(bucket: Bucket, nowMs: number): void {
  const { bytesPerSecond } = bucket;
  bucket.level = Math.min(bytesPerSecond, bucket.level + ((nowMs - bucket.filledMs) / 1000) * bytesPerSecond);
  bucket.filledMs = nowMs;
}
