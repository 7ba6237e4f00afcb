// The time for a test that finds more the longer it runs, and the cases for one that finds more the more it runs.
import { seededRandom } from "./random.js";

/** SLUICE_SOAK_SECONDS if it is set, else `defaultMs`: for fuzzing and stress loops that run until a budget is spent. */
export function soakBudgetMs(defaultMs: number): number {
  const seconds = Number(process.env["SLUICE_SOAK_SECONDS"]);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : defaultMs;
}

/** `few` of the items, drawn by the seed, in their order; in a soak all of them. */
export function drawnCases<T>(items: readonly T[], few: number, seed: number): readonly T[] {
  if (soakBudgetMs(0) > 0) return items;
  const { below } = seededRandom(seed);
  const left = [...items];
  const drawn = new Set(Array.from({ length: few }, () => left.splice(below(left.length), 1)).flat());
  return items.filter((item) => drawn.has(item));
}

type Declare<Words extends unknown[]> = (...words: Words) => void;

/** Declares every other test, beginning with the first or the second one as `turn` is even or odd; in a soak each of them. */
export function everyOther<Words extends unknown[]>(test: Declare<Words>, turn: number): Declare<Words> {
  let at = turn;
  return (...words) => {
    if (at++ % 2 === 0 || soakBudgetMs(0) > 0) test(...words);
  };
}
