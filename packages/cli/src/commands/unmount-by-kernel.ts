/** Unmounts without the help of the mount's server, which has died or does not answer: nothing here waits for it. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { mountAt, type MountRow, readMountTable } from "@sluice/mount-control";
import { MNT, native, toBytes } from "@sluice/native";
import { Errno } from "@sluice/vfs";

const HELPER_MS = 10_000;

/** Every caller gets ENOTCONN. The file belongs to the user who mounted. */
function abort(real: string, { device }: MountRow): void {
  try {
    writeFileSync(`/sys/fs/fuse/connections/${device.split(":")[1]}/abort`, "1");
  } catch {
    // It is not mounted everywhere, and in containers only for reading.
    native.umount2(toBytes(real), MNT.FORCE);
  }
}

/** Root's program, which unmounts the mounts of its caller. */
function unmountByHelper(real: string, lazy: boolean): number {
  const options = { encoding: "utf8", timeout: HELPER_MS, env: { ...process.env, LC_ALL: "C" } } as const;
  const { status, stderr } = spawnSync("fusermount3", ["-u", ...(lazy ? ["-z"] : []), "--", real], options);
  if (status === 0) return 0;
  return /busy/i.test(stderr) ? -Errno.EBUSY : -Errno.EPERM;
}

/** `real` is the real path of a mount. With `cut` it is aborted and detached; a stale one needs `lazy` alone. @returns 0 or a negative errno */
export function unmountByKernel(real: string, { cut = false, lazy = cut }: { cut?: boolean; lazy?: boolean }): number {
  const mount = mountAt(real, readMountTable());
  // An abort may end its server, which unmounts.
  if (cut && mount !== undefined) abort(real, mount);
  if (mountAt(real, readMountTable()) === undefined) return 0;
  const status = native.umount2(toBytes(real), lazy ? MNT.DETACH : 0);
  return status === -Errno.EPERM && process.geteuid?.() !== 0 ? unmountByHelper(real, lazy) : status;
}
