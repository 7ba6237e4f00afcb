/** A directory of one layer: where it hangs in its layer's tree, and its cached descriptor. */
import type { ByteName } from "@sluice/vfs";
import type { HostLayer } from "./host-layer.js";

export class RealDir {
  /** O_PATH descriptor, or -1. Owned by DirectoryFds (the root's by the layer). */
  fd = -1;
  /** Where it lies in the descriptor cache while `fd` is open. */
  slot = 0;
  /** Second chance of the descriptor cache's clock. */
  used = false;
  /** In the upper layer: may hold objects with an origin (overlay.impure); read once. */
  impure = false;
  /** A lower directory that is marked to hold whiteouts in the form of an attribute (opaque = "x"). */
  xattrWhiteouts = false;
  /** Its inode number as it was found; 0: made by us. */
  inoLo = 0;
  inoHi = 0;
  /** See node/protection.ts; undefined while nobody asked. */
  protection: number | undefined = undefined;

  constructor(
    readonly layer: HostLayer,
    public parent: RealDir | undefined,
    public name: ByteName,
  ) {}

  /** The path below the layer's root as components. */
  components(): ByteName[] {
    if (this.parent === undefined) return [];
    const names: ByteName[] = [this.name];
    for (let dir = this.parent; dir.parent !== undefined; dir = dir.parent) names.push(dir.name);
    return names.reverse();
  }
}
