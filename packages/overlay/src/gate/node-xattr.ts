/** Reads one extended attribute of an open object, for the gate. */
import { Errno } from "@sluice/vfs";
import { readXattr } from "../layer/system-calls.js";

const value = Buffer.alloc(65_536);

/** undefined: it has none of that name (or its file system has none at all); a negative errno: it could not be read. */
export function readXattrOf(fd: number, name: string): Uint8Array | undefined | number {
  const length = readXattr(fd, "", name, value);
  if (length >= 0) return Uint8Array.prototype.slice.call(value, 0, length);
  return length === -Errno.ENODATA || length === -Errno.EOPNOTSUPP ? undefined : length;
}
