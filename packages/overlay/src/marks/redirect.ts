/**
 * The redirect mark: the other name that an object has in the layers below. The rules are overlayfs' (fs/overlayfs/util.c
 * ovl_get_redirect_xattr): a malformed mark is EINVAL; a mark that leads upwards is EACCES, which the search finds out.
 */
import { type ByteName, Errno } from "@sluice/vfs";
import { readXattr, upkeep } from "../layer/system-calls.js";
import type { MarkNames } from "./names.js";

/** Absolute (from the layers' roots), or one name in the same merged directory. */
export interface Redirect {
  absolute: boolean;
  components: ByteName[];
}

const value = Buffer.alloc(65_536);

/** undefined: there is none; a negative errno: it cannot be read or is malformed. */
export function readRedirect(names: MarkNames, dirFd: number, name: ByteName): Redirect | undefined | number {
  const length = readXattr(dirFd, name, names.redirect, value);
  if (length === -Errno.ENODATA || length === -Errno.EOPNOTSUPP) return undefined;
  return length < 0 ? length : parseRedirect(value.toString("latin1", 0, length));
}

/** A negative errno if it is malformed. Bytes after a zero byte are ignored. */
export function parseRedirect(mark: string): Redirect | number {
  const text = mark.split("\0", 1)[0] as string;
  const absolute = text.startsWith("/");
  const components = (absolute ? text.slice(1) : text).split("/");
  if (components.includes("") || (!absolute && components.length > 1)) return -Errno.EINVAL;
  return { absolute, components };
}

export function writeRedirect(names: MarkNames, at: { dirFd: number; name: ByteName }, redirect: string): number {
  return upkeep.setxattrat(at.dirFd, at.name, names.redirect, Buffer.from(redirect, "latin1"), 0);
}
