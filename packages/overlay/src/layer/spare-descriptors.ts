/**
 * Descriptors that callers leave to the process: with all of them in open files of the mount, it could take no connection any more, and nobody
 * could look at the mount or end it. The kernel gives the lowest free number, so a high one says that few are left.
 */

/** For some connections, and the files that an answer reads. */
const SPARE = 32;
/** Of a limit so low that it has no room for as many. */
const SPARE_SHARE = 1 / 8;

let most = Number.POSITIVE_INFINITY;
let latest = 0;

/** From now on. A process that takes over opens the files of the one before first. `limit`: of the process's open files. */
export function spareDescriptors(limit: number): void {
  most = limit - Math.min(SPARE, Math.floor(limit * SPARE_SHARE));
}

/** Notes a descriptor that an open gave. @returns it */
export function opened(fd: number): number {
  if (fd >= 0) latest = fd;
  return fd;
}

/** Whether a caller may have no further one. `probe` opens anything. */
export function areScarce(probe: () => number, close: (fd: number) => void): boolean {
  if (latest < most) return false;
  const fd = opened(probe());
  if (fd < 0) return true;
  close(fd);
  return fd >= most;
}
