/** The gate tells of these for the log, the counts and the reports of the mount. */
import type { Decision, Question } from "@sluice/decision-api";
import type { Intent } from "@sluice/overlay";
import type { CallContext } from "@sluice/vfs";
import type { AuditedIo } from "./io-watch.js";

export interface PolicyGateEvents {
  decided(decision: Decision, question: Question, durationMs: number): void;
  /** A cached answer was enforced again: no question was asked. */
  recalled(decision: Decision, call: CallContext, intent: Intent): void;
  /** A transfer that an obligation wants told. */
  audited(io: AuditedIo): void;
  /** Something that should not happen; the access was denied. */
  anomaly(message: string, detail: Record<string, unknown>): void;
}
