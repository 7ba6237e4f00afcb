export { Actor, eventually, type PlainStat, within } from "./actor.js";
export { bytes, nodePath } from "./byte-string.js";
export { type Cerbos, cerbosPolicyFile, STANDARD_CERBOS, startCerbos } from "./cerbos.js";
export { cleanedUp, cleanUp } from "./clean-up.js";
export { latencyAskedFor } from "./cpu-latency.js";
export { type Layers, layers, publicFile, unread } from "./layers.js";
export { type KernelOverlayOptions, mountKernelOverlay, unmountKernelOverlay } from "./mount-kernel-overlay.js";
export { MountFailure, mountSluice, runSluice, type SluiceExit, SluiceMount, type SluiceMountOptions } from "./mount-sluice.js";
export { decisionsOf, type Grant, grantsOf, type Status, statusOf } from "./mount-status.js";
export { type MountEntry, mountsBelow, mountTable } from "./mount-table.js";
export { NatsServer } from "./nats.js";
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
} from "./plant.js";
export { plantDeep } from "./plant-deep.js";
export { asOrdinaryUser, ORDINARY_USER } from "./ordinary-user.js";
export { policyOf, type PolicyRule } from "./policy-of.js";
export { descendantsOf, identifyProcess, isAlive, killProcess, openDescriptors, type ProcessIdentity } from "./processes.js";
export { type Gated, machineHas, type Need, requires } from "./requirements.js";
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
} from "./run-script.js";
export { type ScratchOptions, scratch } from "./scratch.js";
export { decisionOf, type Script, ScriptedDecider } from "./scripted-decider.js";
export { diffSnapshots, type EntrySnapshot, type Snapshot, type SnapshotOptions, snapshot, treeHash } from "./snapshot.js";
export { soakBudgetMs } from "./soak.js";
export { tarGz } from "./tar.js";
export { switchUring, uringCanBeHad } from "./uring-switch.js";
