/** The overlay as the mount shows it: with other owners, without link counts of directories, without ACLs or attributes. */
import { IdMap, IdMappedFilesystem } from "@sluice/id-mapping";
import type { Filesystem } from "@sluice/vfs";
import { LimitedXattrs } from "./limited-xattrs.js";
import type { Shown } from "./shown.js";
import { StaticNlink } from "./static-nlink.js";

/** Without any of it the filesystem itself: nothing stands in the way of a request then. */
export function shownFilesystem(overlay: Filesystem, shown: Shown): Filesystem {
  const uids = new IdMap(shown.uids, shown.squashUid);
  const gids = new IdMap(shown.gids, shown.squashGid);
  let filesystem = overlay;
  if (!uids.isIdentity || !gids.isIdentity) filesystem = new IdMappedFilesystem(filesystem, { uids, gids });
  if (shown.staticNlink) filesystem = new StaticNlink(filesystem);
  if (shown.xattrs !== "all") filesystem = new LimitedXattrs(filesystem, shown.xattrs);
  return filesystem;
}
