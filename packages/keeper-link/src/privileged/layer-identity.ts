/** Which directory a descriptor is open on: to tell that a path leads to the one that was checked. */
import { native } from "@sluice/native";
import { AT, Attr } from "@sluice/vfs";

const attr = new Attr();

/** "major:minor:inode"; undefined if the file system does not answer. */
export function identityOf(fd: number): string | undefined {
  const status = native.statx(fd, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW | AT.STATX_DONT_SYNC, attr.words);
  return status < 0 ? undefined : [attr.devMajor, attr.devMinor, attr.ino].join(":");
}
