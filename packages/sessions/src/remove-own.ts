/** Removes trees of a session. A copy of an immutable or append-only file has its flag, and a directory, too: no name in it could go. */
import { native, openBeneath, type Removal, removeTree } from "@sluice/native";
import { AT, Attr, Errno, O, S } from "@sluice/vfs";

/** FS_IMMUTABLE_FL and FS_APPEND_FL. */
const PROTECTED = 0x30;

function unprotect(root: number, path: string): void {
  const fd = openBeneath(root, path, O.RDONLY | O.NONBLOCK, 0);
  if (fd < 0) return;
  const [attr, flags] = [new Attr(), native.getFlags(fd)];
  // A replaced file that is kept for an undo may have names in the directory, which keep their flag.
  const isOwn = native.statx(fd, "", AT.EMPTY_PATH, attr.words) >= 0 && ((attr.mode & S.IFMT) === S.IFDIR || attr.nlink === 1);
  if (isOwn && flags >= 0 && (flags & PROTECTED) !== 0) native.setFlags(fd, flags & ~PROTECTED);
  native.close(fd);
}

/** As `removeTree`, without these flags. */
export function removeOwn(root: number, name: string): Removal {
  for (let last: string | undefined; ; ) {
    const removal = removeTree(root, name);
    if (removal.status !== -Errno.EPERM || removal.path === last) return removal;
    last = removal.path;
    const slash = last.lastIndexOf("/");
    for (const path of slash > 0 ? [last.slice(0, slash), last] : [last]) unprotect(root, path);
  }
}
