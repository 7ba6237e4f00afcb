/**
 * Random numbers by a seed: the same sequence on every machine, so that a run can be repeated. Imports nothing, so that programs can
 * import it.
 */

export interface Random {
  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number;
  /** From 0 to 1, without 1. */
  fraction(): number;
  /** True once in `times` on average. */
  once(times: number): boolean;
  of<T>(items: readonly T[]): T;
  /** Draws by weight. */
  weighted<T>(items: readonly (readonly [weight: number, item: T])[]): T;
}

/** Mulberry32. */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  const word = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (limit: number): number => word() % limit;
  const of = <T>(items: readonly T[]): T => items[below(items.length)] as T;
  const weighted = <T>(items: readonly (readonly [number, T])[]): T => {
    let left = below(items.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, item] of items) {
      if (left < weight) return item;
      left -= weight;
    }
    throw new Error("weights must be positive integers");
  };
  return { below, fraction: () => word() / 2 ** 32, of, weighted, once: (times) => below(times) === 0 };
}
