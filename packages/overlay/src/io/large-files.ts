/**
 * Steps before a change of a large file. By itself the change would give the data's space back, or write what is in memory, for up to a
 * second for each GiB, in which the loop's thread would answer nobody. After the step, which the pool makes, it takes no time.
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

/**
 * Truncates an open file, before `ftruncate`. If `size` leaves little to give back, nothing is done and the status is there at once. It is always 0:
 * the call that follows tells of an error.
 */
export function shrinkLarge(permit: Permit, fd: number, size: FileOffset): Status {
  if (statFd(fd, seen) < 0 || dataBytes() < Number(size) + MUCH_BYTES) return 0;
  return effects(permit)
    .ftruncateAsync(fd, size)
    .then(() => 0);
}

/** The same for a file that is not open. */
export function shrinkLargeNode(core: DataAccess, permit: Permit, node: Node, size: FileOffset): Status {
  if (statNode(core, node, seen) < 0 || dataBytes() < Number(size) + MUCH_BYTES) return 0;
  const fd = openWritable(core, node, O.WRONLY);
  if (fd < 0) return 0;
  return effects(permit)
    .ftruncateAsync(fd, size)
    .then(() => {
      core.closes.close(fd);
      return 0;
    });
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
