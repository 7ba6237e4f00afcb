/**
 * What a program needs before it loads the mount service: types, and how a process gives up privileges. The service itself is behind
 * the other entries of package.json, which commands load when they need them.
 */
export type { AwaitedMount, BecomeKeeper, KeptMount } from "./lifecycle/kept-mount.js";
export { keepLeastPrivilege, replaceProcess } from "./lifecycle/least-privilege.js";
export type { MountHost } from "./lifecycle/life.js";
export type { DecisionHost, EmbeddedDecisionOptions, StartEmbeddedDecision } from "./lifecycle/open-decider.js";
