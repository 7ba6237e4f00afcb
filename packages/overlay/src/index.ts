/** An overlay filesystem over host directories, in kernel overlayfs' on-disk format. */
export type { LayerSpec, LayerStatus, OverlayConfig, OverlayEvents, OverlayStatus } from "./contract/config.js";
export { createOverlay } from "./create-overlay.js";
export type {
  Access,
  Content,
  FallbackReason,
  Flow,
  Gate,
  Intent,
  IoWatch,
  OpenRecord,
  Operation,
  Ruling,
  WatchedIo,
} from "./contract/gate.js";
export { whenAskedToEnd } from "./layer/caller-process.js";
export { foreignGroup } from "./layer/foreign-ids.js";
export { spareDescriptors } from "./layer/spare-descriptors.js";
export { type MarkNames, markNames } from "./marks/names.js";
export type { OpenReview } from "./open/review-open.js";
export type { Passing } from "./io/withhold-open.js";
export { IdPages } from "./node/id-pages.js";
export type { Overlay } from "./overlay.js";
export type { NextUpper, Restacked } from "./restack.js";
export type { FdStore, Survival } from "./contract/survival.js";
