/**
 * Backing ids of this connection. The only place that registers files with the kernel: a keeper can use it unchanged.
 *
 * It does not trust its callers: it registers only a regular file that the caller has open. The kernel would accept an O_PATH
 * descriptor, too, which needs only the right to look up a name, not the right to open the file.
 */
import { native } from "@sluice/native";
import { type BackingRegistrar, Errno } from "@sluice/vfs";
import type { Agreement } from "../connection/agreement.js";

/** Without CAP_FSETID in the registered credentials: the kernel then clears suid and sgid on passthrough writes. */
export function deviceRegistrar(fuseFd: number, agreement: Agreement): BackingRegistrar {
  return {
    openBacking: (fd, readOnly = false) => {
      if (agreement.negotiated.maxStackDepth === 0) return -Errno.EPERM;
      return native.backingOpenWithoutFsetid(fuseFd, fd, readOnly);
    },
    closeBacking: (backingId) => {
      native.backingClose(fuseFd, backingId);
    },
  };
}
