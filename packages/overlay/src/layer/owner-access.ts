/**
 * Objects of this process's user that their own mode closes to the user. A process without privilege cannot open them, and a lower layer gets no
 * chmod: somebody else opens them (OwnerAccess). A process that serves one user has one mount, so this is of the process.
 */
import { native, StatWord } from "@sluice/native";
import { AT, Attr, type ByteName, Errno, type OwnerAccess } from "@sluice/vfs";

const attr = new Attr();
let access: OwnerAccess | undefined;

export function useOwnerAccess(given: OwnerAccess | undefined): void {
  access = given;
}

function isOwn(fd: number): boolean {
  return native.statx(fd, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW, attr.words) === 0 && attr.words[StatWord.uid] === process.geteuid?.();
}

/** Finds a name in a directory of the user that may not be searched. A descriptor of its path, or the negative errno. */
export function searchOwn(dirFd: number, name: ByteName): number {
  return access === undefined || name === "" || !isOwn(dirFd) ? -Errno.EACCES : access.search(dirFd, name);
}

/** Opens an object of the user for reading that may not be read. `fd` may be of its path alone. A descriptor, or the negative errno. */
export function readOwn(fd: number): number {
  return access === undefined || !isOwn(fd) ? -Errno.EACCES : access.read(fd);
}

/** The result of `call` with a name whose directory may not be searched, or the negative errno. */
export function onOwn(dirFd: number, name: ByteName, call: (fd: number) => number): number {
  const fd = searchOwn(dirFd, name);
  if (fd < 0) return fd;
  const result = call(fd);
  native.close(fd);
  return result;
}
