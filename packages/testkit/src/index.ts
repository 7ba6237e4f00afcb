export { Actor, eventually, type PlainStat, within } from "./processes/actor.js";
export { begunEarly } from "./begun-early.js";
export { bytes, nodePath } from "./byte-string.js";
export { type Cerbos, cerbosPolicyFile, STANDARD_CERBOS, startCerbos } from "./policies/cerbos.js";
export { cleanedUp, cleanUp, cleanUpAfterFile } from "./clean-up.js";
export { latencyAskedFor } from "./machine/cpu-latency.js";
export { freePort } from "./machine/free-port.js";
export { type Layers, layers, publicFile, unread } from "./trees/layers.js";
export { HostService, startHostService } from "./mounts/host-service.js";
export { type KernelOverlayOptions, mountKernelOverlay, unmountKernelOverlay } from "./mounts/mount-kernel-overlay.js";
export { refuseLeftMounts } from "./mounts/left-mounts.js";
export type { SluiceExit } from "./mounts/mount-server.js";
export { MountFailure, mountSluice, runSluice, SluiceMount, type SluiceMountOptions } from "./mounts/mount-sluice.js";
export { decisionsOf, type Grant, grantsOf, type Status, statusOf } from "./mounts/mount-status.js";
export { type MountEntry, mountsBelow, mountTable } from "./mounts/mount-table.js";
export { mountsShareProcess, sharedHost } from "./mounts/shared-host.js";
export { NatsServer } from "./policies/nats.js";
export {
  type Attributes,
  blockDevice,
  charDevice,
  directory,
  type Extent,
  fifo,
  file,
  hardLink,
  plant,
  type Planted,
  socket,
  sparse,
  symlink,
  type Tree,
  whiteout,
} from "./trees/plant.js";
export { plantDeep } from "./trees/plant-deep.js";
export { asOrdinaryUser, ORDINARY_USER } from "./machine/ordinary-user.js";
export { policyOf, type PolicyRule } from "./policies/policy-of.js";
export {
  childrenOf,
  descendantsOf,
  identifyProcess,
  isAlive,
  killProcess,
  openDescriptors,
  type ProcessIdentity,
  threadStatuses,
} from "./processes/processes.js";
export { type Gated, machineHas, type Need, requires } from "./machine/requirements.js";
export {
  asUser,
  type Credentials,
  describeResult,
  runScript,
  type RunningScript,
  type ScriptOptions,
  scriptOutput,
  type ScriptResult,
  startScript,
} from "./processes/run-script.js";
export { type ScratchOptions, scratch } from "./trees/scratch.js";
export { decisionOf, type Script, ScriptedDecider } from "./policies/scripted-decider.js";
export { diffSnapshots, type EntrySnapshot, type Snapshot, type SnapshotOptions, snapshot, treeHash } from "./trees/snapshot.js";
export { drawnCases, everyOther, soakBudgetMs } from "./soak.js";
export { tarGz } from "./policies/tar.js";
export { SERVICE_CAPABILITIES } from "./machine/service-privilege.js";
export { switchUring, uringCanBeHad } from "./machine/uring-switch.js";
