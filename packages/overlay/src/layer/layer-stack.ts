/** The layers of a mount, as interfaces from the smallest to the largest: code that needs descriptors of directories asks for no more. */
import type { DirectoryFds } from "./directory-fds.js";
import type { FileCloses } from "./file-closes.js";
import type { HostLayer, RealDir } from "./host-layer.js";
import type { Traps } from "./traps.js";

/** Descriptors of the layers' directories. */
export interface DirectoryAccess {
  readonly fds: DirectoryFds;
  /** For descriptors of files that were written or removed. */
  readonly closes: FileCloses;
}

/** Besides, the layers that only hold the data of metadata-only files. */
export interface DataAccess extends DirectoryAccess {
  readonly dataLayers: readonly HostLayer[];
}

export interface LayerStack extends DataAccess {
  /** Top first; an upper layer is layers[0]. */
  readonly layers: readonly HostLayer[];
  readonly upper: HostLayer | undefined;
  readonly traps: Traps;
  /** Layers lie on several devices: inode numbers carry the device's index. */
  readonly severalDevices: boolean;
}

export interface ScratchDirectory {
  /** The scratch directory in the upper layer's file system; undefined on a read-only mount. */
  readonly scratch: RealDir | undefined;
  /** A name in it that nothing has yet. */
  scratchName(): string;
}
