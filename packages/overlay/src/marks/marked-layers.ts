/** The layers, with the names of the marks in them. */
import type { OverlayEvents } from "../contract/config.js";
import type { DirectoryAccess, LayerStack } from "../layer/layer-stack.js";
import type { MarkNames } from "./names.js";

export interface MarkedDirectories extends DirectoryAccess {
  readonly marks: MarkNames;
}

export interface MarkedLayers extends MarkedDirectories, Pick<LayerStack, "layers"> {
  readonly events: Pick<OverlayEvents, "anomaly">;
}
