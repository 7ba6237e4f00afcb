/** A soak of the hunters takes as long as it was given in total: each hunter gets its share. */
import { soakBudgetMs } from "@sluice/testkit";

/** One hunter for names, and one for revoked opens. */
const HUNTERS = 2;

/** The time that one hunter has for all its mounts, in ms; `defaultMs` outside of a soak. */
export function shareMs(defaultMs: number): number {
  return soakBudgetMs(defaultMs * HUNTERS) / HUNTERS;
}
