/** STATFS and SYNCFS. */
import { Errno, type StatfsOut, type Status } from "@sluice/vfs";
import type { IoContext } from "../io/io-context.js";
import { syncVolatile } from "../io/data.js";
import { sys } from "../layer/system-calls.js";

const numbers = new Float64Array(12);

/** Of the upper layer; of the topmost lower on a read-only mount. */
export function statfs(core: IoContext, out: StatfsOut): number {
  const layer = core.layers[0];
  if (layer === undefined) return Errno.EIO;
  const status = sys.fstatfs(layer.root.fd, numbers);
  if (status < 0) return -status;
  const [, bsize, blocks, bfree, bavail, files, ffree, , , namelen, frsize] = numbers as unknown as number[];
  Object.assign(out, { bsize, blocks, bfree, bavail, files, ffree, namelen, frsize });
  return 0;
}

export function syncfs(core: IoContext): Status {
  if (core.upper === undefined) return 0;
  if (core.config.volatile) return syncVolatile(core);
  const fd = core.upper.mountFd;
  return fd < 0 ? -fd : sys.syncfsAsync(fd).then((status) => -status || 0);
}
