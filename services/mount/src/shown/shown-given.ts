/** The options that change what the mount shows, as given and as resolved. */
import type { IdRange } from "@sluice/id-mapping";
import type { Shown } from "./shown.js";

/** The options as given, before more exact options override squash_to_root. */
export interface ShownGiven {
  uids: readonly IdRange[];
  gids: readonly IdRange[];
  squashToRoot: boolean;
  squashUid: number | undefined;
  squashGid: number | undefined;
  staticNlink: boolean;
  acl: boolean;
  xattrs: boolean;
}

export function nothingShown(): ShownGiven {
  return {
    uids: [],
    gids: [],
    squashToRoot: false,
    squashUid: undefined,
    squashGid: undefined,
    staticNlink: false,
    acl: true,
    xattrs: true,
  };
}

export function shownOf(given: ShownGiven): Shown {
  const root = given.squashToRoot ? 0 : undefined;
  const withAcl = given.acl ? "all" : "no-acl";
  return {
    uids: given.uids,
    gids: given.gids,
    squashUid: given.squashUid ?? root,
    squashGid: given.squashGid ?? root,
    staticNlink: given.staticNlink,
    xattrs: given.xattrs ? withAcl : "none",
  };
}
