/** A soak of the take-over takes as long as it was given in all: each of its works gets a share. */
import { soakBudgetMs } from "@sluice/testkit";

/** Killed at random, killed at planted points, programs. */
const WORKS = 3;
const LONG_MS = 600_000;

/** The time of one work, in ms; `defaultMs` without a soak. */
export function shareMs(defaultMs: number): number {
  return soakBudgetMs(defaultMs * WORKS) / WORKS;
}

/** How many kills there must be at least: `many` in a soak of ten minutes or more, else `few`. */
export function killsWanted(many: number, few: number): number {
  return soakBudgetMs(0) >= LONG_MS ? many : few;
}
