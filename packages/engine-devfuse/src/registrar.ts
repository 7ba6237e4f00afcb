/** Backing ids of this connection. The only place that registers files with the kernel: a keeper can take it over as it is. */
import { native } from "@sluice/native";
import { type BackingRegistrar, Errno } from "@sluice/vfs";
import type { Agreement } from "./agreement.js";

/** Without CAP_FSETID in the registered credentials: the kernel then clears suid and sgid on passthrough writes. */
export function deviceRegistrar(fuseFd: number, agreement: Agreement): BackingRegistrar {
  return {
    openBacking: (fd) => (agreement.negotiated.maxStackDepth > 0 ? native.backingOpenWithoutFsetid(fuseFd, fd) : -Errno.EPERM),
    closeBacking: (backingId) => {
      native.backingClose(fuseFd, backingId);
    },
  };
}
