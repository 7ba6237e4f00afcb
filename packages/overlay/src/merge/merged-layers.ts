/** The layers as a search or a listing reads them. */
import type { Attr } from "@sluice/vfs";
import type { OverlayConfig } from "../contract/config.js";
import type { LayerStack } from "../layer/layer-stack.js";
import type { MarkedDirectories } from "../marks/marked-layers.js";

/** For listings of directories. */
export interface ListedLayers extends MarkedDirectories, Pick<LayerStack, "severalDevices"> {
  /** For objects that nobody needs for longer than one operation. */
  readonly scratchAttr: Attr;
}

/** For searches of a name. */
export interface MergedLayers extends LayerStack, MarkedDirectories {
  readonly config: Pick<OverlayConfig, "metacopy" | "redirectDir" | "sharedLower">;
}
