/** Medians with their spread. Nothing is thrown away and nothing is averaged: a moment of load must show, not smear. */

export interface Spread {
  median: number;
  /** First and third quartile. */
  low: number;
  high: number;
}

/** Of an ascending list; NaN of an empty one. */
export function quantile(sorted: readonly number[], at: number): number {
  const position = (sorted.length - 1) * at;
  const [below, above] = [Math.floor(position), Math.ceil(position)];
  const [low = Number.NaN, high = Number.NaN] = [sorted[below], sorted[above]];
  return low + (high - low) * (position - below);
}

/** NaN of an empty list. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: quantile(sorted, 0.5), low: quantile(sorted, 0.25), high: quantile(sorted, 0.75) };
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
