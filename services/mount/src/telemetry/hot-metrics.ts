/**
 * Counters and histograms for hot paths: plain arrays and maps. Writing them allocates nothing, and a Prometheus registry reads them only at
 * a scrape. `get()` has the shape that prom-client's registry reads.
 */
import type { DurationCounts } from "@sluice/mount-control";
export interface MetricValue {
  labels: Record<string, string | number>;
  value: number;
  metricName?: string;
}
export interface MetricSnapshot {
  name: string;
  help: string;
  type: string;
  aggregator: "sum";
  values: MetricValue[];
}
export interface HotMetric {
  readonly name: string;
  get(): Promise<MetricSnapshot>;
  reset(): void;
}

type Values = () => Iterable<MetricValue>;

/** A metric that is computed from the owner's state at each scrape. */
export function readMetric(name: string, help: string, type: "counter" | "gauge" | "histogram", values: Values): HotMetric {
  return {
    name,
    // prom-client awaits it.
    get: async () => ({ name, help, type, aggregator: "sum", values: [...values()] }),
    reset: () => undefined,
  };
}

/** From a lookup in memory to a decision that nearly times out. */
const BOUNDS_MS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 500, 1000, 5000] as const;
const BOUNDS_US = BOUNDS_MS.map((boundMs) => boundMs * 1000);

/** One series of durations. */
export class DurationSeries {
  readonly #counts = new Float64Array(BOUNDS_MS.length + 1);
  #sumUs = 0;
  #count = 0;
  #worstUs = 0;

  observe(durationMs: number): void {
    this.observeUs(durationMs * 1000);
  }

  /** Takes whole microseconds, which need no heap object. */
  observeUs(durationUs: number): void {
    let bucket = 0;
    while (bucket < BOUNDS_US.length && durationUs > (BOUNDS_US[bucket] as number)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sumUs += durationUs;
    this.#count++;
    if (durationUs > this.#worstUs) this.#worstUs = durationUs;
  }

  /** The longest since the call before, in milliseconds. */
  takeWorstMs(): number {
    const worstMs = this.#worstUs / 1000;
    this.#worstUs = 0;
    return worstMs;
  }

  /** For a comparison of two moments: the count between each two bounds; the last one is open. */
  snapshot(): DurationCounts {
    return { boundsMs: BOUNDS_MS, counts: [...this.#counts], sumMs: this.#sumUs / 1000, count: this.#count };
  }

  *values(name: string, labels: Record<string, string>): Iterable<MetricValue> {
    let cumulative = 0;
    for (const [bucket, boundMs] of BOUNDS_MS.entries()) {
      cumulative += this.#counts[bucket] as number;
      yield { metricName: `${name}_bucket`, labels: { ...labels, le: boundMs / 1000 }, value: cumulative };
    }
    yield { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: this.#count };
    yield { metricName: `${name}_sum`, labels, value: this.#sumUs / 1e6 };
    yield { metricName: `${name}_count`, labels, value: this.#count };
  }
}

/** Counts by a small closed set of labels. `sluice status` reads them as an object. */
export class CountBy<Key extends string> {
  readonly #counts = new Map<Key, number>();

  add(key: Key, amount = 1): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + amount);
  }

  entries(): IterableIterator<[Key, number]> {
    return this.#counts.entries();
  }

  toObject(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}
