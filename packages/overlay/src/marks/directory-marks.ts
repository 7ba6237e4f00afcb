/** Reads the marks of a directory together, and writes opaque and impure (redirect: see redirect.ts). */
import { type ByteName, Errno } from "@sluice/vfs";
import { listXattrs, readXattr, upkeep } from "../layer/system-calls.js";
import { isForeignOpaque } from "./foreign-marks.js";
import type { MarkNames } from "./names.js";
import { type Redirect, readRedirect } from "./redirect.js";

export interface DirectoryMarks {
  opaque: boolean;
  xattrWhiteouts: boolean;
  impure: boolean;
  redirect: Redirect | undefined;
}

const list = Buffer.alloc(65_536);
const value = Buffer.alloc(8192);
const YES = Buffer.from("y");

/** Reads all marks, by one listxattr if there are none, as on most directories. A negative errno or 0. */
export function readDirectoryMarks(names: MarkNames, dirFd: number, name: ByteName, out: DirectoryMarks): number {
  out.opaque = out.xattrWhiteouts = out.impure = false;
  out.redirect = undefined;
  if (names.foreign) out.opaque = isForeignOpaque(dirFd, name);
  const length = listXattrs(dirFd, name, list);
  if (length <= 0) return length === -Errno.EOPNOTSUPP ? 0 : length;
  const present = list.toString("latin1", 0, length);
  if (!present.includes(names.prefix)) return 0;
  if (present.includes(`${names.opaque}\0`)) {
    const mark = readMark(dirFd, name, names.opaque);
    out.opaque ||= mark === "y";
    out.xattrWhiteouts = mark === "x";
  }
  out.impure = present.includes(`${names.impure}\0`) && readMark(dirFd, name, names.impure) === "y";
  // An opaque directory ends the search: where its redirect leads is not looked at (fs/overlayfs/namei.c ovl_lookup_single).
  if (out.opaque || !present.includes(`${names.redirect}\0`)) return 0;
  const redirect = readRedirect(names, dirFd, name);
  if (typeof redirect === "number") return redirect;
  out.redirect = redirect;
  return 0;
}

function readMark(dirFd: number, name: ByteName, attribute: string): string | undefined {
  const length = readXattr(dirFd, name, attribute, value);
  return length < 0 ? undefined : value.toString("latin1", 0, length);
}

export function writeOpaque(names: MarkNames, dirFd: number, name: ByteName): number {
  return upkeep.setxattrat(dirFd, name, names.opaque, YES, 0);
}

/** The same if lower entries would show without the mark: EIO on a file system that holds no marks (ovl_set_opaque_xerr). */
export function hideBelow(names: MarkNames, dirFd: number, name: ByteName): number {
  const status = writeOpaque(names, dirFd, name);
  return status === -Errno.EOPNOTSUPP ? -Errno.EIO : status;
}

export function writeImpure(names: MarkNames, dirFd: number, name: ByteName): number {
  return upkeep.setxattrat(dirFd, name, names.impure, YES, 0);
}
