/** The form of a mount that a process makes before anybody waits: that of a session, without the session's files. */
import { sessionSpec } from "./session-spec.js";
import type { UserSpec } from "./user-spec.js";

export const REHEARSAL_POLICY = "policy.yaml";

const PATHS = { mountpoint: "/view", upper: "/upper", work: "/work", policyFile: REHEARSAL_POLICY };

export const REHEARSAL_SPEC: UserSpec = {
  ...sessionSpec(
    { ...PATHS, lowers: ["/lower"], formerUppers: 0, name: "rehearsal" },
    { control: false, answers: false, decisionLog: false },
  ),
  ...{ session: false, decisionTimeoutMs: 1000, graceMs: 1000 },
};
