/** The part of the overlay that operations on names, attributes and directories work on. */
import type { IoContext } from "../io/io-context.js";
import type { RecentListings } from "../merge/recent-listings.js";
import type { SharedWhiteout } from "../marks/shared-whiteout.js";
import type { CallsUnderWay } from "../node/calls-under-way.js";
import type { ArrivalWatch } from "./arrivals.js";
import type { Purges } from "./purge-directory.js";

export interface OperationContext extends IoContext {
  readonly purges: Purges;
  readonly calls: CallsUnderWay;
  readonly recentListings: RecentListings;
  /** Of the renames of directories that are being judged. */
  readonly arrivalWatches: Set<ArrivalWatch>;
  whiteout: SharedWhiteout;
}
