/** The overlay as the mount shows it: with mapped owners, and without link counts of directories, ACLs or attributes. */
import { IdMap, IdMappedFilesystem } from "@sluice/id-mapping";
import { type Attr, type Filesystem, FilesystemDecorator, S } from "@sluice/vfs";
import { LimitedXattrs } from "./limited-xattrs.js";
import type { Shown } from "./shown.js";

/** Shows st_nlink 1 for every directory: find(1) takes that for "not counted". */
class StaticNlink extends FilesystemDecorator {
  protected override showAttr(attr: Attr): void {
    if ((attr.mode & S.IFMT) === S.IFDIR) attr.nlink = 1;
  }
}

/** Without any of these options it returns the filesystem itself, so that requests take no detour. */
export function shownFilesystem(overlay: Filesystem, shown: Shown): Filesystem {
  const uids = new IdMap(shown.uids, shown.squashUid);
  const gids = new IdMap(shown.gids, shown.squashGid);
  let filesystem = overlay;
  if (!uids.isIdentity || !gids.isIdentity) filesystem = new IdMappedFilesystem(filesystem, { uids, gids });
  if (shown.staticNlink) filesystem = new StaticNlink(filesystem);
  if (shown.xattrs !== "all") filesystem = new LimitedXattrs(filesystem, shown.xattrs);
  return filesystem;
}
