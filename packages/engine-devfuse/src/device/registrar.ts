/**
 * Backing ids of this connection. The only place that registers files with the kernel: a keeper can take it over as it is.
 *
 * It trusts nobody above it: only a regular file that its caller has open is registered. The kernel would take an O_PATH
 * descriptor too, which whoever may look a name up gets without being allowed to open the file.
 */
import { native } from "@sluice/native";
import { type BackingRegistrar, Errno } from "@sluice/vfs";
import type { Agreement } from "../connection/agreement.js";

/** Without CAP_FSETID in the registered credentials: the kernel then clears suid and sgid on passthrough writes. */
export function deviceRegistrar(fuseFd: number, agreement: Agreement): BackingRegistrar {
  return {
    openBacking: (fd) => {
      if (agreement.negotiated.maxStackDepth === 0) return -Errno.EPERM;
      return native.backingOpenWithoutFsetid(fuseFd, fd);
    },
    closeBacking: (backingId) => {
      native.backingClose(fuseFd, backingId);
    },
  };
}
