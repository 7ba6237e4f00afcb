/** All that a mount's overlay consists of. `createOverlay` makes it; each folder sees the part that its own context names. */
import type { HostLayer, RealDir } from "./layer/host-layer.js";
import type { OpenContext } from "./open/open-context.js";
import type { IdleObjects } from "./restore/idle-objects.js";

export interface OverlayContext extends OpenContext {
  /** These change when the upper layer becomes a lower one: see restack.ts. */
  layers: readonly HostLayer[];
  upper: HostLayer | undefined;
  scratch: RealDir | undefined;
  /** Undefined if no object goes before its node does. */
  idleObjects: IdleObjects | undefined;
  linkIndex: RealDir | undefined;
  /** Why there is no index of hard links; "" if there is one. */
  readonly noIndex: string;
}
