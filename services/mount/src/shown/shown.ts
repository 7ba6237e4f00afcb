/** What a mount shows of its layers, as options of fuse-overlayfs say it. */
import type { IdRange } from "@sluice/id-mapping";

export interface Shown {
  /** Empty: ids are shown as they are. */
  uids: readonly IdRange[];
  gids: readonly IdRange[];
  /** Everything is shown as this one's. */
  squashUid: number | undefined;
  squashGid: number | undefined;
  /** st_nlink of every directory is 1. */
  staticNlink: boolean;
  xattrs: "all" | "no-acl" | "none";
}
