/** Reads and writes the marks of a directory: opaque, redirect, impure. */
import { type ByteName, Errno } from "@sluice/vfs";
import { sys } from "../layer/host-layer.js";
import type { MarkNames } from "./names.js";

export interface DirectoryMarks {
  opaque: boolean;
  xattrWhiteouts: boolean;
  impure: boolean;
  /** Absolute (from the layers' roots) or one name (in the parent's lower directories); undefined: none. */
  redirect: { absolute: boolean; components: ByteName[] } | undefined;
}

const list = Buffer.alloc(65_536);
const value = Buffer.alloc(8192);
const YES = Buffer.from("y");

/** Reads all marks with one listxattr where there are none, as on most directories. A negative errno or 0. */
export function readDirectoryMarks(names: MarkNames, dirFd: number, name: ByteName, out: DirectoryMarks): number {
  out.opaque = out.xattrWhiteouts = out.impure = false;
  out.redirect = undefined;
  const length = sys.listxattrat(dirFd, name, list);
  if (length <= 0) return length === -Errno.EOPNOTSUPP ? 0 : length;
  const present = list.toString("latin1", 0, length);
  if (!present.includes(names.prefix)) return 0;
  if (present.includes(`${names.opaque}\0`)) {
    const mark = readMark(dirFd, name, names.opaque);
    out.opaque = mark === "y";
    out.xattrWhiteouts = mark === "x";
  }
  out.impure = present.includes(`${names.impure}\0`) && readMark(dirFd, name, names.impure) === "y";
  if (present.includes(`${names.redirect}\0`)) return readRedirect(readMark(dirFd, name, names.redirect), out);
  return 0;
}

function readMark(dirFd: number, name: ByteName, attribute: string): string | undefined {
  const length = sys.getxattrat(dirFd, name, attribute, value);
  return length < 0 ? undefined : value.toString("latin1", 0, length);
}

/** A redirect that could lead out of a layer, or that says nothing, is refused: the directory then cannot be looked up. */
function readRedirect(text: string | undefined, out: DirectoryMarks): number {
  if (text === undefined || text === "") return -Errno.EIO;
  const absolute = text.startsWith("/");
  const components = (absolute ? text.slice(1) : text).split("/");
  const unsafe = components.some((part) => part === "" || part === "." || part === ".." || part.includes("\0"));
  if (unsafe || (!absolute && components.length > 1)) return -Errno.EIO;
  out.redirect = { absolute, components };
  return 0;
}

export function writeOpaque(names: MarkNames, dirFd: number, name: ByteName): number {
  return sys.setxattrat(dirFd, name, names.opaque, YES, 0);
}

export function writeImpure(names: MarkNames, dirFd: number, name: ByteName): number {
  return sys.setxattrat(dirFd, name, names.impure, YES, 0);
}

export function writeRedirect(names: MarkNames, at: { dirFd: number; name: ByteName }, redirect: string): number {
  return sys.setxattrat(at.dirFd, at.name, names.redirect, Buffer.from(redirect, "latin1"), 0);
}
