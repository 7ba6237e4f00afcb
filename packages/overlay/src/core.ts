/** What every operation works on: the stack, the tables, the ports. Made once by `createOverlay`. */
import type { Attr, KernelPort } from "@sluice/vfs";
import type { OverlayConfig, OverlayEvents } from "./contract/config.js";
import type { CopyUpJob } from "./copy-up/copy-up-job.js";
import type { Gate } from "./contract/gate.js";
import type { HandleTable } from "./handles/handle-table.js";
import type { KeptBackings } from "./handles/kept-backings.js";
import type { Reroutes } from "./open/reroutes.js";
import type { DirectoryFds } from "./layer/directory-fds.js";
import type { HostLayer, RealDir } from "./layer/host-layer.js";
import type { Traps } from "./layer/traps.js";
import type { OverlayJournal } from "./journal/overlay-journal.js";
import type { RecentListings } from "./merge/recent-listings.js";
import type { MarkNames } from "./marks/names.js";
import type { SharedWhiteout } from "./marks/shared-whiteout.js";
import type { LockTable } from "./locks/lock-table.js";
import type { Node } from "./node/node.js";
import type { Purges } from "./operations/purge-directory.js";
import type { IdleIo } from "./io/idle-io.js";
import type { KnownPaths } from "./node/known-paths.js";
import type { ArrivalWatch } from "./operations/arrivals.js";
import type { NodeTable } from "./node/node-table.js";
import type { OriginClaims } from "./node/origin-claims.js";

export interface Core {
  readonly config: OverlayConfig;
  readonly port: KernelPort;
  readonly gate: Gate;
  readonly events: OverlayEvents;
  readonly marks: MarkNames;
  /** Top first; the upper layer, where there is one, is layers[0]. */
  readonly layers: readonly HostLayer[];
  /** Only searched for the data of metadata-only files. */
  readonly dataLayers: readonly HostLayer[];
  readonly traps: Traps;
  readonly upper: HostLayer | undefined;
  /** The scratch directory in the upper's file system; undefined on a read-only mount. */
  readonly scratch: RealDir | undefined;
  /** workdir/index, where hard links survive copy-up; see node/link-index.ts. */
  readonly linkIndex: RealDir | undefined;
  /** Why there is none, for people. */
  readonly noIndex: string;
  readonly purges: Purges;
  readonly fds: DirectoryFds;
  readonly nodes: NodeTable;
  readonly claims: OriginClaims;
  readonly paths: KnownPaths;
  readonly idle: IdleIo;
  readonly handles: HandleTable;
  readonly locks: LockTable<Node>;
  readonly reroutes: Reroutes;
  /** Where this is written down for a process to come; undefined where none is. */
  readonly journal: OverlayJournal | undefined;
  readonly kept: KeptBackings;
  readonly recentListings: RecentListings;
  readonly root: Node;
  /** Renames of directories that are being judged. */
  readonly arrivalWatches: Set<ArrivalWatch>;
  /** Layers lie on several devices: inode numbers carry the device's index. */
  readonly severalDevices: boolean;
  /** For objects that only pass by; never valid after another operation began. */
  readonly scratchAttr: Attr;
  copyUps: number;
  whiteout: SharedWhiteout;
  /** Opens for writing by a descriptor (/proc/self/fd) of a lower file's reader that got ESTALE: see open/plan-open.ts. */
  staleReopens: number;
  /** Copies of file data under way: everybody who waits for a node's copy waits for the same one. */
  readonly copyUpJobs: Map<Node, CopyUpJob>;
  /** A fresh name in the scratch directory. */
  scratchName(): string;
}
