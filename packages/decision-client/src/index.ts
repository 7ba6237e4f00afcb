/** The mount service's way to decisions: a `Decider` over gRPC, and the one of a mount without a policy. */
export type { TlsFiles } from "./channel.js";
export { type CacheLimits, DecisionCache } from "./cache/decision-cache.js";
export { connectDecider, type DeciderOptions, whenReady } from "./connect-decider.js";
export type { DecisionClientEvents } from "./decision-client-events.js";
export { grantAllDecider } from "./grant-all-decider.js";
export type { RevisionView } from "./revision-view.js";
export { parseTarget, type Target } from "./target.js";
export type { OutageMode } from "./with-failure-mode.js";
