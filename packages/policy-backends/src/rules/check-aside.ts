/** The check of a large policy file in a thread of its own, with a time budget. */
import { WorkerError, WorkerPool } from "../worker/worker-pool.js";
import type { CheckedRules } from "./load-policy.js";
import { PolicyError, type PolicyProblem } from "./problem.js";
import type { RulesSetup } from "./rules-worker.js";

const PROGRAM = new URL("../../dist/rules/rules-worker.js", import.meta.url);
const BUDGET_MS = 30_000;

/** undefined: it is another kind of policy. Rejects with `PolicyError`. */
export async function checkAside(text: string, file: string): Promise<CheckedRules | undefined> {
  const setup: RulesSetup = { text, file };
  try {
    const { pool, output } = await WorkerPool.open({ program: PROGRAM, setup, threads: 1, budgetMs: BUDGET_MS, setupBudgetMs: BUDGET_MS });
    await pool.close();
    return output as CheckedRules | undefined;
  } catch (error) {
    if (!(error instanceof WorkerError)) throw error;
    const none: PolicyProblem = {
      severity: "error",
      line: 1,
      column: 1,
      message: `it cannot be checked: ${error.message}`,
      remedy: "make it smaller and simpler",
    };
    throw new PolicyError(file, Array.isArray(error.data) ? (error.data as PolicyProblem[]) : [none], { cause: error });
  }
}
