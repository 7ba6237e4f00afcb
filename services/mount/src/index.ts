/**
 * The light part of the mount service, for a program that has not loaded it yet: types, and the drop of privileges. The service is behind
 * the other entries of package.json, which commands load when they need them.
 */
export type { GivenPlaces } from "@sluice/keeper-link";
export type { SupervisedHost } from "./host/keep-host.js";
export type { AwaitedMount, SupervisedMount } from "./keeper/start-keeper.js";
export type {
  DecisionHost,
  EmbeddedDecisionOptions,
  DecisionUser,
  MountHost,
  ReadyDecisions,
  StartEmbeddedDecision,
} from "./mount-host.js";
export { closeInherited } from "./privilege/harden-process.js";
export { passOn, STANDARD, unusedNumber } from "./privilege/pass-descriptors.js";
export { keepLeastPrivilege, limitThread, replaceProcess, SERVER_CAPABILITIES } from "./privilege/least-privilege.js";
