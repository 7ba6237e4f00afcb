/**
 * What a program needs before it loads the mount service: types, and how a process gives up privileges. The service itself is behind
 * the other entries of package.json, which commands load when they need them.
 */
export type { AwaitedMount, SupervisedMount } from "./keeper/start-keeper.js";
export type { DecisionHost, EmbeddedDecisionOptions, MountHost, StartEmbeddedDecision } from "./mount-host.js";
export { keepLeastPrivilege, replaceProcess } from "./privilege/least-privilege.js";
