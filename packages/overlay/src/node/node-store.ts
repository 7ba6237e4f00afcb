/** The nodes of a mount, and the layers that their objects lie in. */
import type { LayerStack } from "../layer/layer-stack.js";
import type { Admission } from "./admit.js";
import type { KnownPaths } from "./known-paths.js";

export interface NodeStore extends LayerStack, Admission {
  readonly paths: KnownPaths;
}
