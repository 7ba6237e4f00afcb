/** What a server has of its keeper, over a socket or in its own process, and the acts that need privilege. */
export { claimUpper, isClaimed, untilLetGo } from "./acts/claim-upper.js";
export { LayerError } from "./acts/layer-error.js";
export { abortDevice, mountOn, type MountPoint, openDevice, openPlace, unmountDevice } from "./acts/mount-device.js";
export { openLayers } from "./acts/open-layers.js";
export { joinKeeper, type Namespaces, namespacesHere, OFFER_VERSION, type Offer, untilGreeted } from "./join-keeper.js";
export { connectHere, openInProcess } from "./in-process.js";
export type { KeeperInfo, KeeperLink, OpenLayer, OpenLayers } from "./keeper-link.js";
export type { MountPlan } from "./mount-plan.js";
export { Ask, HEADER_BYTES, JOURNAL_LIMIT_BYTES, KEPT_INIT_BYTES, LinkRecord, STORED_PER_RECORD, Tell } from "./records.js";
export { openSocketLink, type SocketLinkOptions, tellLoaded } from "./socket-link.js";
