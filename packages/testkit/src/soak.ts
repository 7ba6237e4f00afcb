// The time for a test that finds more the longer it runs.

/** SLUICE_SOAK_SECONDS if it is set, else `defaultMs`: for fuzzing and stress loops that run until a budget is spent. */
export function soakBudgetMs(defaultMs: number): number {
  const seconds = Number(process.env["SLUICE_SOAK_SECONDS"]);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : defaultMs;
}
