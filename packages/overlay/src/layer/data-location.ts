/** The place of a metadata-only copy's data. */
import type { ByteName } from "@sluice/vfs";
import type { HostLayer, RealDir } from "./host-layer.js";

export class DataLocation {
  /** Undefined: in a data-only layer, which is found out when it is first opened, as overlayfs does. */
  layer: HostLayer | undefined;

  constructor(
    /** Undefined: `name` is a path from the roots of the data-only layers. */
    readonly dir: RealDir | undefined,
    readonly name: ByteName,
  ) {
    this.layer = dir?.layer;
  }
}
