/**
 * The mount service's way to decisions, without the modules that load gRPC (those are in connect.ts): the decider of a mount without
 * a policy, and types.
 */
export type { TlsFiles } from "./conversation/channel.js";
export { type CacheLimits, DecisionCache } from "./cache/decision-cache.js";
export type { DeciderOptions } from "./connect-decider.js";
export type { DecisionClientEvents } from "./decision-client-events.js";
export { grantAllDecider } from "./grant-all-decider.js";
export type { RevisionView } from "./pool/revision-view.js";
export { parseTarget, type Target } from "./pool/target.js";
export type { OutageMode } from "./decorators/with-failure-mode.js";
