/**
 * What a program needs before it loads the mount service: types, and how a process gives up privileges. The service itself is behind
 * the other entries of package.json, which commands load when they need them.
 */
export type { AwaitedMount, BecomeKeeper, KeptMount } from "./keeper/start-keeper.js";
export { keepLeastPrivilege, replaceProcess } from "./privilege/least-privilege.js";
export type { MountHost } from "./serve/mount-context.js";
export type { DecisionHost, EmbeddedDecisionOptions, StartEmbeddedDecision } from "./setup/open-decider.js";
