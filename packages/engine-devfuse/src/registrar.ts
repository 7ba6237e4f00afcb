/**
 * Backing ids of this connection. The only place that registers files with the kernel: a keeper can take it over as it is.
 *
 * It trusts nobody above it: only a regular file that its caller has open is registered. The kernel would take an O_PATH
 * descriptor too, which whoever may look a name up gets without being allowed to open the file.
 */
import { native } from "@sluice/native";
import { AT, Attr, type BackingRegistrar, Errno, S, SEEK } from "@sluice/vfs";
import type { Agreement } from "./agreement.js";

const attr = new Attr();

/** Without CAP_FSETID in the registered credentials: the kernel then clears suid and sgid on passthrough writes. */
export function deviceRegistrar(fuseFd: number, agreement: Agreement): BackingRegistrar {
  return {
    openBacking: (fd) => {
      if (agreement.negotiated.maxStackDepth === 0) return -Errno.EPERM;
      const unfit = refuse(fd);
      return unfit !== 0 ? unfit : native.backingOpenWithoutFsetid(fuseFd, fd);
    },
    closeBacking: (backingId) => {
      native.backingClose(fuseFd, backingId);
    },
  };
}

function refuse(fd: number): number {
  const status = native.statx(fd, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW, attr.words);
  if (status < 0) return status;
  if ((attr.mode & S.IFMT) !== S.IFREG) return -Errno.EINVAL;
  // EBADF for an O_PATH descriptor, which has no position.
  const position = native.lseek(fd, 0, SEEK.CUR);
  return position < 0 ? Number(position) : 0;
}
