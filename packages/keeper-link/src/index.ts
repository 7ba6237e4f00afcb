/** The link of a server to its keeper, over a socket or in its own process, and the operations that need privilege. */
export { asCaller, asOwner, registerAsCaller } from "./privileged/as-caller.js";
export { claimUpper, isClaimed, isClaimedDirectory, untilLetGo, untilLetGoForCaller } from "./privileged/claim-upper.js";
export { LayerError } from "./privileged/layer-error.js";
export { identityOf } from "./privileged/layer-identity.js";
export { mountForCaller, mountNowhere } from "./privileged/mount-for-caller.js";
export { abortDevice, mountOn, type MountPoint, openDevice, openMountpoint, unmountDevice } from "./privileged/mount-device.js";
export { closeLayers, openLayers } from "./privileged/open-layers.js";
export { joinKeeper, type Namespaces, namespacesHere, OFFER_VERSION, type Offer } from "./join-keeper.js";
export { isZombie } from "./is-zombie.js";
export { connectHere, openInProcess } from "./in-process.js";
export type { KeeperInfo, KeeperLink, NextLayers, NextNames, OpenLayer, OpenLayers } from "./keeper-link.js";
export type { GivenPlaces, MountPlan, PlanCaller } from "./mount-plan.js";
export { ServerRecord, HEADER_BYTES, JOURNAL_LIMIT_BYTES, MAX_INIT_BYTES, LinkRecord, STORED_PER_RECORD, KeeperRecord } from "./records.js";
export {
  type HeldMount,
  type HoldRefusal,
  type HoldRequest,
  type Greeting,
  openServiceLink,
  readMemoryFile,
  type ServiceLink,
  type ServiceLinkEvents,
  untilServiceGreeted,
} from "./service-link.js";
export { openSocketLink, type SocketLinkOptions, tellLoaded } from "./socket-link.js";
