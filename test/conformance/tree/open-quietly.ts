/** Opens a layer's directory without changing its access time. */
import { MOUNT_ATTR, native, OPEN_TREE } from "@sluice/native";
import { AT, O } from "@sluice/vfs";

/** The descriptor, or a negative errno. */
export function openQuietly(path: string): number {
  const clone = native.openTree(AT.FDCWD, path, OPEN_TREE.CLONE | O.CLOEXEC);
  native.mountSetattr(clone, "", AT.EMPTY_PATH, MOUNT_ATTR.NOATIME, MOUNT_ATTR.ATIME_MASK);
  const fd = native.openat(clone, ".", O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  native.close(clone);
  return fd;
}
