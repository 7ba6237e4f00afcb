/**
 * Marks in the forms of fuse-overlayfs and OCI image layers, which overlayfs shows as plain files: `.wh.NAME` hides NAME in
 * the layers below, `.wh..wh..opq` and two attributes make a directory opaque. They are only read, and only where the
 * mount asks for it.
 */
import { Attr, type ByteName, O } from "@sluice/vfs";
import { closeFd, openName, readXattr, statName } from "../layer/system-calls.js";

const PREFIX = ".wh.";
const OPAQUE_FILE = ".wh..wh..opq";
const OPAQUE_ATTRIBUTES = ["user.overlay.opaque", "user.fuseoverlayfs.opaque", "trusted.overlay.opaque"] as const;
const attr = new Attr();
const value = Buffer.alloc(8);
const YES = 0x79;

/** A name that says something of another one, and is none of the merged tree. */
export function isForeignMark(name: ByteName): boolean {
  return name.startsWith(PREFIX);
}

/** The name that a mark of this name hides; undefined for the opaque mark, and for a name that is no mark. */
export function hiddenBy(mark: ByteName): ByteName | undefined {
  return mark === OPAQUE_FILE || !isForeignMark(mark) ? undefined : mark.slice(PREFIX.length);
}

/** Is `name`, which this layer's directory does not have, hidden by it from the layers below? */
export function isHiddenByFile(dirFd: number, name: ByteName): boolean {
  return statName(dirFd, PREFIX + name, attr) >= 0;
}

/** The directory `name`, or that of the descriptor where `name` is "". Costs up to six system calls. */
export function isForeignOpaque(dirFd: number, name: ByteName): boolean {
  for (const attribute of OPAQUE_ATTRIBUTES) {
    if (readXattr(dirFd, name, attribute, value) === 1 && value[0] === YES) return true;
  }
  if (name === "") return statName(dirFd, OPAQUE_FILE, attr) >= 0;
  const fd = openName(dirFd, name, O.PATH | O.DIRECTORY, 0);
  if (fd < 0) return false;
  const status = statName(fd, OPAQUE_FILE, attr);
  closeFd(fd);
  return status >= 0;
}
