/**
 * Bytes a second, shared by whoever has the same key: a bucket that fills with time and holds one second's worth. It stays
 * until it is full again when nobody shares it any more: who opens a file anew has what was left, not another second's worth.
 */

interface Bucket {
  bytesPerSecond: number;
  level: number;
  filledMs: number;
  users: number;
}

export class RateLimits {
  readonly #buckets = new Map<string, Bucket>();
  /** Nobody's, and not known to be full. */
  readonly #left = new Set<string>();
  #sweptMs = Number.NEGATIVE_INFINITY;
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /**
   * Of several rates under one key the newest holds, as the policy was changed. `spent`: what was taken of it before is not
   * known, so that it begins with nothing; else with all.
   */
  join(key: string, bytesPerSecond: number, spent = false): void {
    this.#sweep();
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      this.#buckets.set(key, { bytesPerSecond, level: spent ? 0 : bytesPerSecond, filledMs: this.#now(), users: 1 });
      return;
    }
    bucket.bytesPerSecond = bytesPerSecond;
    bucket.users++;
    this.#left.delete(key);
  }

  /** `forGood`: nobody can come to this key again. */
  leave(key: string, forGood: boolean): void {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined || --bucket.users > 0) return;
    if (forGood) this.#buckets.delete(key);
    else this.#left.add(key);
    this.#sweep();
  }

  /**
   * Takes bytes, at once, and returns how long to wait before they may move, in ms. The bucket goes into debt, so that who
   * comes later waits behind who came before.
   */
  take(key: string, bytes: number): number {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return 0;
    fill(bucket, this.#now());
    bucket.level -= bytes;
    return bucket.level >= 0 ? 0 : (-bucket.level / bucket.bytesPerSecond) * 1000;
  }

  /** What was taken and did not move. */
  giveBack(key: string, bytes: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.level += bytes;
  }

  /** Once a second at most, so that it costs each who comes and goes next to nothing. */
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
