/** The mount service: the filesystem and the enforcement of policy. The `sluice` command puts its commands in place. */
export { addMountCommands } from "./cli/add-mount-commands.js";
export type { DecisionHost, EmbeddedDecisionOptions, StartEmbeddedDecision } from "./lifecycle/open-decider.js";
export type { AwaitedMount, BecomeKeeper, KeptMount } from "./lifecycle/kept-mount.js";
export { keepLeastPrivilege, replaceProcess } from "./lifecycle/least-privilege.js";
export type { MountHost } from "./lifecycle/life.js";
