/** Unmounts without the help of the mount's server, which has died or does not answer: nothing here waits for it. */
import { writeFileSync } from "node:fs";
import { mountAt, type MountRow, readMountTable } from "@sluice/mount-control";
import { MNT, native, toBytes } from "@sluice/native";
import { unmountForUser } from "@sluice/runtime/cli";
import { Errno } from "@sluice/vfs";

const HELPER_ERRNO = { done: 0, busy: -Errno.EBUSY, refused: -Errno.EPERM } as const;

/** Every caller gets ENOTCONN. The file belongs to the user who mounted. */
function abort(real: string, { device }: MountRow): void {
  try {
    writeFileSync(`/sys/fs/fuse/connections/${device.split(":")[1]}/abort`, "1");
  } catch {
    // It is not mounted everywhere, and in containers only for reading.
    native.umount2(toBytes(real), MNT.FORCE);
  }
}

/** `real` is the real path of a mount. With `cut` it is aborted and detached; a stale one needs `lazy` alone. @returns 0 or a negative errno */
export function unmountByKernel(real: string, { cut = false, lazy = cut }: { cut?: boolean; lazy?: boolean }): number {
  const mount = mountAt(real, readMountTable());
  // An abort may end its server, which unmounts.
  if (cut && mount !== undefined) abort(real, mount);
  if (mountAt(real, readMountTable()) === undefined) return 0;
  const status = native.umount2(toBytes(real), lazy ? MNT.DETACH : 0);
  return status === -Errno.EPERM && process.geteuid?.() !== 0 ? HELPER_ERRNO[unmountForUser(real, { lazy })] : status;
}
