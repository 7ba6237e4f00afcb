/** What a server has of its keeper, over a socket or in its own process, and the acts that need privilege. */
export { claimUpper, untilLetGo } from "./acts/claim-upper.js";
export { LayerError } from "./acts/layer-error.js";
export { openLayers } from "./acts/open-layers.js";
export { connectHere, openInProcess } from "./in-process.js";
export type { KeeperInfo, KeeperLink, OpenLayer, OpenLayers } from "./keeper-link.js";
export type { MountPlan } from "./mount-plan.js";
