/** STATFS and SYNCFS. */
import { Errno, type StatfsOut, type Status } from "@sluice/vfs";
import type { Core } from "../core.js";
import { sys } from "../layer/host-layer.js";

const numbers = new Float64Array(12);

/** Of the upper layer; of the topmost lower on a read-only mount. */
export function statfs(core: Core, out: StatfsOut): number {
  const layer = core.layers[0];
  if (layer === undefined) return Errno.EIO;
  const status = sys.fstatfs(layer.root.fd, numbers);
  if (status < 0) return -status;
  const [, bsize, blocks, bfree, bavail, files, ffree, , , namelen, frsize] = numbers as unknown as number[];
  Object.assign(out, { bsize, blocks, bfree, bavail, files, ffree, namelen, frsize });
  return 0;
}

export function syncfs(core: Core): Status {
  if (core.upper === undefined || core.config.volatile) return 0;
  const fd = core.upper.mountFd;
  return fd < 0 ? -fd : sys.syncfsAsync(fd).then((status) => -status || 0);
}
