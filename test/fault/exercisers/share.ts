/** A soak of the exercisers takes as long as it was given in total: each exerciser gets its share. */
import { soakBudgetMs } from "@sluice/testkit";

/** file-exerciser, tree-exerciser, stress-ng, fio, dbench. */
const EXERCISERS = 5;

/** The time that one exerciser has for all its policies, in ms; `defaultMs` outside of a soak. */
export function shareMs(defaultMs: number): number {
  return soakBudgetMs(defaultMs * EXERCISERS) / EXERCISERS;
}
