/** The decider of a mount without a policy: it grants everything, and asks no service. */
import { type Decider, type Decision, NO_FACTS, type PolicyCapabilities } from "@sluice/decision-api";

const REVISION = { sequence: 0n, digest: "" };
const GRANT: Decision = {
  effect: "grant",
  errno: 0,
  decisionId: "none",
  policyId: "none",
  rule: "default",
  revision: REVISION,
  reason: "there is no policy",
  obligations: [],
  source: "none",
};
const CAPABILITIES: PolicyCapabilities = {
  revision: REVISION,
  policyId: "none",
  accesses: new Set(),
  ...NO_FACTS,
  unconditionalGrant: true,
};

export function grantAllDecider(): Decider {
  return {
    decide: () => GRANT,
    capabilities: () => CAPABILITIES,
    onPolicyChange: () => () => undefined,
    status: () => ({ target: "none", state: "ready", replicas: [], revision: REVISION, policyId: "none" }),
    close: () => Promise.resolve(),
  };
}
