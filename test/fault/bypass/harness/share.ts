/** A soak of the hunters takes as long as it was given in all: each of them gets its share. */
import { soakBudgetMs } from "@sluice/testkit";

/** For names, and for what is revoked. */
const HUNTERS = 2;

/** The time of one hunter over all its mounts, in ms; `defaultMs` without a soak. */
export function shareMs(defaultMs: number): number {
  return soakBudgetMs(defaultMs * HUNTERS) / HUNTERS;
}
