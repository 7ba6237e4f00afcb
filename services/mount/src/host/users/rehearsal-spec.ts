/** The form of a mount that a process makes before anybody waits, as that of a session. */
import type { UserSpec } from "./user-spec.js";

export const REHEARSAL_POLICY = "policy.yaml";

export const REHEARSAL_SPEC: UserSpec = {
  ...{ version: 2, attached: false, lowers: 1, writable: true, policy: true, policyName: REHEARSAL_POLICY },
  ...{ session: false, control: false, answers: false, decisionLog: false, formerUppers: 0, mountFlags: 0, xino: "auto" },
  ...{ nonEmpty: false, coherentReaders: false, sharedLower: false, cacheTtlMs: 0, maxStackDepth: 1, locks: "auto", onOutage: "deny" },
  ...{ staleForMs: 0, decisionTimeoutMs: 1000, askTimeoutMs: null, graceMs: 1000, name: null, logLevel: "info" },
};
