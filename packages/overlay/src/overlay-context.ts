/** All that a mount's overlay consists of. `createOverlay` makes it; each folder sees the part that its own context names. */
import type { OpenContext } from "./open/open-context.js";

export interface OverlayContext extends OpenContext {
  /** Why there is no index of hard links; "" if there is one. */
  readonly noIndex: string;
}
