/** Short rounds of one way and the other in turn, so that a ratio tells of the ways and not of the moment. */

/** Microseconds of one turn of something. */
export type Measure = () => number | Promise<number>;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

/** Medians of each, and the median of the ratios of neighbours. The first round warms up and does not count. */
export async function compare(one: Measure, other: Measure, rounds: number): Promise<{ one: number; other: number; ratio: number }> {
  const ones: number[] = [];
  const others: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const first = await one();
    const second = await other();
    if (round === 0) continue;
    ones.push(first);
    others.push(second);
  }
  return { one: median(ones), other: median(others), ratio: median(ones.map((value, index) => value / (others[index] as number))) };
}

/** Microseconds of one call of `act`, over `turns` of them. */
export function timed(turns: number, act: (turn: number) => void): number {
  const start = performance.now();
  for (let turn = 0; turn < turns; turn++) act(turn);
  return ((performance.now() - start) * 1000) / turns;
}

/** The same with `concurrency` of them under way. */
export async function timedAtOnce(turns: number, concurrency: number, act: (turn: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const start = performance.now();
  const worker = async (): Promise<void> => {
    while (next < turns) await act(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return ((performance.now() - start) * 1000) / turns;
}
