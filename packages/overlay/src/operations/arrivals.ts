/**
 * Names that come into a directory while something waits that depends on what is in it: a rename judges those, too, that come
 * into the tree that it takes along, and a directory that a name came into is not removed.
 */
import type { ByteName } from "@sluice/vfs";
import type { Node } from "../node/node.js";

/** Told of each name until it is taken out of `arrivalWatches`. */
export interface ArrivalWatch {
  /** A call on the mount gave the directory this name. */
  arrived(parent: Node, name: ByteName): void;
}

/** To be called by everything that gives a directory a name. */
export function arrived(core: { readonly arrivalWatches: ReadonlySet<ArrivalWatch> }, parent: Node, name: ByteName): void {
  for (const watch of core.arrivalWatches) watch.arrived(parent, name);
}
