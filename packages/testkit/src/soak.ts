// How long a test that gets better with time may take.

/** SLUICE_SOAK_SECONDS if it is set, else `defaultMs`: for fuzzing and stress loops that run until a budget is spent. */
export function soakBudgetMs(defaultMs: number): number {
  const seconds = Number(process.env["SLUICE_SOAK_SECONDS"]);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : defaultMs;
}
