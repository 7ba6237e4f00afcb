/** The data of a metadata-only copy: in a layer of the tree, or where a path leads in the data-only layers. */
import { Attr, Errno, O, RESOLVE, S } from "@sluice/vfs";
import type { DataAccess, DirectoryAccess } from "../layer/layer-stack.js";
import type { DataLocation } from "../layer/data-location.js";
import { closeFd, openName, statFd, statName, sys } from "../layer/system-calls.js";

/** Whatever a mark says: not out of the layer, through no link, into no other mount. */
const PATH_RESOLVE = RESOLVE.BENEATH | RESOLVE.NO_MAGICLINKS | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV;
const attr = new Attr();
/** Each time something was renamed or mounted in the microseconds of the look-up. */
const MOST_TRIES = 1_000;

/** A rename or a mount anywhere on the machine ends a look-up of ".." within bounds (openat2(2), EAGAIN): it begins again. */
function openPath(rootFd: number, path: string, flags: number): number {
  let fd = -Errno.EAGAIN;
  for (let tries = 0; fd === -Errno.EAGAIN && tries < MOST_TRIES; tries++) fd = sys.openat2(rootFd, path, flags, 0, PATH_RESOLVE);
  return fd;
}

/** For reading, whatever access the flags ask for. A descriptor or the negative errno: ENOENT if no layer has it. */
export function openData(core: DataAccess, place: DataLocation, flags: number): number {
  const reading = (flags & ~O.ACCMODE) | O.RDONLY;
  if (place.dir !== undefined) {
    const dirFd = core.fds.of(place.dir);
    return dirFd < 0 ? dirFd : openName(dirFd, place.name, reading, 0);
  }
  for (const layer of core.dataLayers) {
    const fd = openPath(layer.root.fd, place.name, reading | O.NOFOLLOW | O.CLOEXEC);
    if (fd < 0) continue;
    if (statFd(fd, attr) === 0 && (attr.mode & S.IFMT) === S.IFREG) {
      place.layer = layer;
      return fd;
    }
    closeFd(fd);
  }
  return -Errno.ENOENT;
}

const BLOCK_BYTES = 512;
const PAGE_BYTES = 4096;

/** Shows the blocks of the data, as a metadata-only copy takes none. As in overlayfs, they are guessed from the size if a look is work. */
export function showBlocksOfData(core: DirectoryAccess, place: DataLocation, shown: Attr): void {
  const dirFd = place.dir === undefined ? -1 : core.fds.of(place.dir);
  let blocks = Math.ceil(shown.size / PAGE_BYTES) * (PAGE_BYTES / BLOCK_BYTES);
  if (dirFd >= 0 && statName(dirFd, place.name, attr) === 0) blocks = attr.blocks;
  shown.words[4] = blocks >>> 0;
  shown.words[5] = Math.floor(blocks / 2 ** 32);
}
