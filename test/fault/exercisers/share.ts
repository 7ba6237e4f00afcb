/** A soak of the exercisers takes as long as it was given in all: each of them gets its share. */
import { soakBudgetMs } from "@sluice/testkit";

/** file-exerciser, tree-exerciser, stress-ng, fio, dbench. */
const EXERCISERS = 5;

/** The time of one exerciser over all its policies, in ms; `defaultMs` without a soak. */
export function shareMs(defaultMs: number): number {
  return soakBudgetMs(defaultMs * EXERCISERS) / EXERCISERS;
}
