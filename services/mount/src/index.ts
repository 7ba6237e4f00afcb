/** The mount service: the filesystem and the enforcement of policy. The `sluice` command puts its commands in place. */
export { addMountCommands } from "./cli/add-mount-commands.js";
export { CONTROL_SOCKET } from "./control/control-client.js";
export type { GrantItem, MountStatus } from "./control/control-protocol.js";
export type { DecisionHost, EmbeddedDecisionOptions, StartEmbeddedDecision } from "./lifecycle/open-decider.js";
export { type MountHost, runMount } from "./lifecycle/run-mount.js";
