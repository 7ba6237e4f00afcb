/**
 * The redirect mark: under which other name an object's lower layers have it. Read by overlayfs' rules (fs/overlayfs/util.c
 * ovl_get_redirect_xattr): what is malformed is EINVAL; what would lead upwards is found out on the way, and is EACCES.
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

/** A negative errno where it is malformed. What follows a zero byte is not looked at. */
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
