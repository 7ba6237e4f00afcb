/** How a mount shows its layers, by options of fuse-overlayfs. */
import type { IdRange } from "@sluice/id-mapping";

export interface Shown {
  /** Empty: ids are shown as they are. */
  uids: readonly IdRange[];
  gids: readonly IdRange[];
  /** Every file is shown with this owner. */
  squashUid: number | undefined;
  squashGid: number | undefined;
  /** st_nlink of every directory is 1. */
  staticNlink: boolean;
  xattrs: "all" | "no-acl" | "none";
}
