/** The mount service's way to decisions, but for what loads gRPC, which is in connect.ts: the decider of a mount without a policy, and types. */
export type { TlsFiles } from "./channel.js";
export { type CacheLimits, DecisionCache } from "./cache/decision-cache.js";
export type { DeciderOptions } from "./connect-decider.js";
export type { DecisionClientEvents } from "./decision-client-events.js";
export { grantAllDecider } from "./grant-all-decider.js";
export type { RevisionView } from "./revision-view.js";
export { parseTarget, type Target } from "./target.js";
export type { OutageMode } from "./with-failure-mode.js";
