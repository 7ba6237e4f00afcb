/**
 * Steps before a change of a large file. The change would give the space of the data back, or write its pages, for up to a second for each GiB,
 * and the loop's thread answers nobody meanwhile. The pool makes the step. After it the change takes no time.
 */
import { Attr, type FileOffset, O, type Status } from "@sluice/vfs";
import type { DataAccess } from "../layer/layer-stack.js";
import type { Permit } from "../layer/permit.js";
import { effects, statFd, sys } from "../layer/system-calls.js";
import type { Node } from "../node/node.js";
import { openNode, openWritable, statNode } from "../node/open-node.js";

/** So much takes about a millisecond. The closes have the same limit (native, async.c). */
const MUCH_BYTES = 4 << 20;

const seen = new Attr();

/** Asked last of all before the step: makes what the change does to the file before it is shorter, and tells whether it may be made. */
type Begins = (fd: number) => boolean;

/**
 * Truncates an open file, if that gives much back: undefined if it does not, or if `begins` is false, and then nothing is done. Else whether it is
 * truncated. If it is not, the effect fails in the same way. If it is, the effect must not truncate again: others may have written since.
 */
export function shrinkLarge(permit: Permit, fd: number, size: FileOffset, begins: Begins): Promise<boolean> | undefined {
  if (statFd(fd, seen) < 0 || dataBytes() < Number(size) + MUCH_BYTES || !begins(fd)) return undefined;
  return effects(permit)
    .ftruncateAsync(fd, size)
    .then((status) => status === 0);
}

interface Shrinking {
  node: Node;
  size: FileOffset;
  begins: Begins;
}

/** The same for a file that is not open. */
export function shrinkLargeNode(core: DataAccess, permit: Permit, { node, size, begins }: Shrinking): Promise<boolean> | undefined {
  if (statNode(core, node, seen) < 0 || dataBytes() < Number(size) + MUCH_BYTES) return undefined;
  const fd = openWritable(core, node, O.WRONLY);
  if (fd < 0) return undefined;
  const shrunk = shrinkLarge(permit, fd, size, begins);
  if (shrunk === undefined) core.closes.close(fd);
  else void shrunk.finally(() => core.closes.close(fd));
  return shrunk;
}

/** A file that replaces another one is written at once by some file systems (ext4, btrfs), so that no crash leaves neither. */
export function beginToWriteLarge(core: DataAccess, node: Node): Status {
  if (!node.isRegular || statNode(core, node, seen) < 0 || dataBytes() < MUCH_BYTES) return 0;
  const fd = openNode(core, node, O.RDONLY);
  if (fd < 0) return 0;
  return sys.beginWriteAsync(fd).then(() => {
    sys.close(fd);
    // An error is for the one who calls fsync.
    return 0;
  });
}

/** Has the open file so much data that a look at all of it takes long? */
export function isLarge(fd: number): boolean {
  return statFd(fd, seen) === 0 && dataBytes() >= MUCH_BYTES;
}

/** Of the file in `seen`: its space on the disk, and its data without a place there yet. */
const dataBytes = (): number => seen.blocks * 512;
