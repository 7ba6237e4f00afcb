/** Policy backends behind one contract, and the built-in one, `rules`. */
export type { Policy, PolicyBackend, Refresh, Verdict } from "./backend.js";
export { type LoadedPolicy, loadPolicy } from "./rules/load-policy.js";
export { type PolicyProblem, PolicyError, problemLine } from "./rules/problem.js";
export { readPolicyFile, rulesBackend } from "./rules/rules-backend.js";
