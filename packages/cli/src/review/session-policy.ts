/** The policy of a session, for a review of its changes. */
import { resolve } from "node:path";
import { LEARNING_POLICY, presetFile } from "@sluice/service-decision/presets";
import type { Session } from "@sluice/sessions";

/** The name that the record of a session has for the policy of `sluice run --learn`. */
export const LEARNS = "learn";

/** Of the last command of a session, and the directory that it is about. */
export interface SessionPolicy {
  file: string;
  base: string;
}

/** Undefined of an ordinary user's session: each name is a file of its own there, and was judged when it was opened. */
export function policyOf({ base, record }: Session): SessionPolicy | undefined {
  if (record.userXattr) return undefined;
  const { policy } = record;
  return { base, file: policy === LEARNS ? LEARNING_POLICY : (presetFile(policy) ?? resolve(base, policy)) };
}
