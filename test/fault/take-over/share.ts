/** A soak of the take-over takes as long as it was given in total: each kind of work gets a share. */
import { soakBudgetMs } from "@sluice/testkit";

/** The kinds: kills at random moments, kills at planted points, and programs. */
const WORKS = 3;
const LONG_MS = 600_000;

/** The time of one kind of work, in ms; `defaultMs` outside of a soak. */
export function shareMs(defaultMs: number): number {
  return soakBudgetMs(defaultMs * WORKS) / WORKS;
}

/** The least number of kills: `many` in a soak of ten minutes or more, else `few`. */
export function killsWanted(many: number, few: number): number {
  return soakBudgetMs(0) >= LONG_MS ? many : few;
}
