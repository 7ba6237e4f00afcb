/**
 * Opens workdir/index, the index of hard links, or says why there can be none (fs/overlayfs/super.c ovl_get_indexdir): it is
 * of use only if a lower file can be named by a handle, and only together with the lower layer that it was made over.
 */
import { Attr, Errno, FsError, O } from "@sluice/vfs";
import type { OverlayConfig } from "./contract/config.js";
import { parseDirents } from "./layer/dirents.js";
import { closeFd, openDirectory, openName, readXattr, removeTree, statName, sys, upkeep } from "./layer/system-calls.js";
import { type HostLayer, RealDir } from "./layer/host-layer.js";
import type { MarkNames } from "./marks/names.js";
import { encodeOrigin, followOrigin, lacksUuid } from "./marks/origin.js";
import { type LinkIndex, readNlinkDelta } from "./node/link-index.js";

export interface LinkIndexChoice {
  dir: RealDir | undefined;
  /** The reason why there is none; "" if there is one. */
  reason: string;
}

const bytes = Buffer.alloc(65_536);
const stored = Buffer.alloc(256);

/** @throws FsError if it was asked for and cannot be had. */
export function openLinkIndex(config: OverlayConfig, layers: readonly HostLayer[], marks: MarkNames): LinkIndexChoice {
  if (config.upper === undefined || config.work === undefined) return { dir: undefined, reason: "the mount is read-only" };
  if (config.index === "off") return { dir: undefined, reason: "turned off" };
  const made = tryOpen(config, layers, marks);
  if (made instanceof RealDir) return { dir: made, reason: "" };
  if (config.index === "on") throw new FsError(made.errno, `index=on: ${made.reason}`);
  return { dir: undefined, reason: made.reason };
}

interface Refusal {
  errno: number;
  reason: string;
}

function tryOpen(config: OverlayConfig, layers: readonly HostLayer[], marks: MarkNames): RealDir | Refusal {
  const upper = layers[0] as HostLayer;
  continueWithoutUuid(layers, marks);
  const unfit = findUnfit(config, layers);
  if (unfit !== undefined) return { errno: Errno.EOPNOTSUPP, reason: unfit };
  const lowerRoot = encodeOrigin(layers[1] as HostLayer, (layers[1] as HostLayer).root.fd, "") as Buffer;
  const foreign = claim({ fd: upper.root.fd, mark: marks.origin, owner: lowerRoot });
  if (foreign < 0) {
    return foreign === -Errno.ESTALE
      ? { errno: Errno.ESTALE, reason: "the upper layer was used over another topmost lower layer: give that one, or mount with index=off" }
      : { errno: -foreign, reason: "the upper layer cannot be marked" };
  }
  const workFd = (config.work as NonNullable<OverlayConfig["work"]>).rootFd;
  const made = upkeep.mkdirat(workFd, "index", 0);
  if (made < 0 && made !== -Errno.EEXIST) return { errno: -made, reason: "workdir/index cannot be made" };
  const fd = openName(workFd, "index", O.RDONLY | O.DIRECTORY, 0);
  if (fd < 0) return { errno: -fd, reason: "workdir/index cannot be opened" };
  const upperRoot = encodeOrigin(upper, upper.root.fd, "") as Buffer;
  const owned = claim({ fd, mark: marks.upper, owner: upperRoot });
  if (owned < 0) {
    closeFd(fd);
    return {
      errno: -owned,
      reason: "workdir/index belongs to another upper layer: give a work directory of its own, or mount with index=off",
    };
  }
  const dir = new RealDir(upper, undefined, "");
  dir.fd = fd;
  return dir;
}

/**
 * The names in an index hold the UUID of their file system. An index that was made without one (uuid=off, and that of an earlier version on
 * btrfs) is continued so: the mark of the upper layer's root shows it.
 */
function continueWithoutUuid(layers: readonly HostLayer[], marks: MarkNames): void {
  const [upper, topmost] = layers as [HostLayer, HostLayer];
  const length = readXattr(upper.root.fd, "", marks.origin, stored);
  if (length <= HEADER || !lacksUuid(stored)) return;
  const { uuid } = topmost;
  for (const layer of layers) if (layer.uuid.equals(uuid)) layer.ignoreUuid();
}

/** What about the layers rules an index out. */
function findUnfit(config: OverlayConfig, layers: readonly HostLayer[]): string | undefined {
  if (config.userXattr) return "callers could forge its marks with userxattr";
  const seen = new Map<string, number>();
  for (const layer of layers) {
    const handle = encodeOrigin(layer, layer.root.fd, "");
    if (handle === undefined || !canFollow(layer, handle)) return `${layer.name}'s file system has no file handles`;
    if (layer.writable) continue;
    const uuid = layer.uuid.toString("hex");
    const device = seen.get(uuid) ?? layer.deviceIndex;
    if (device !== layer.deviceIndex && !layer.hasSubvolumes) return "two lower layers' file systems have the same UUID";
    seen.set(uuid, device);
  }
  return undefined;
}

const HEADER = 21;

function canFollow(layer: HostLayer, handle: Buffer): boolean {
  const fd = sys.openByHandleAt(layer.mountFd, handle[4] as number, handle.subarray(HEADER), O.PATH | O.CLOEXEC);
  if (fd >= 0) closeFd(fd);
  return fd >= 0;
}

/** Marks a directory as belonging to the object that `owner` names. 0, -ESTALE if it belongs to another, or another negative errno. */
function claim(what: { fd: number; mark: string; owner: Buffer }): number {
  const length = readXattr(what.fd, "", what.mark, stored);
  if (length === -Errno.ENODATA) return upkeep.setxattrat(what.fd, "", what.mark, what.owner, 0);
  if (length < 0) return length;
  return stored.subarray(0, length).equals(what.owner) ? 0 : -Errno.ESTALE;
}

/** Removes what a crash left, and entries that no name leads to any more (ovl_indexdir_cleanup). */
export function cleanLinkIndex(core: LinkIndex): void {
  const dir = core.linkIndex;
  if (dir === undefined) return;
  const fd = openDirectory(dir.fd);
  if (fd < 0) return;
  const names: string[] = [];
  for (let length = sys.getdents64(fd, bytes); length > 0; length = sys.getdents64(fd, bytes)) {
    parseDirents(bytes, length, (name) => {
      if (name !== "." && name !== "..") names.push(name);
    });
  }
  for (const name of names) if (isLeftover(core, dir, name)) removeTree(fd, name);
  closeFd(fd);
}

const attr = new Attr();

/** Only an entry without another link may be an orphan; one whose lower file is gone is stale. */
function isLeftover(core: LinkIndex, dir: RealDir, name: string): boolean {
  if (name.startsWith("#")) return true;
  if (statName(dir.fd, name, attr) < 0 || attr.nlink !== 1) return false;
  const kind = attr.mode & 0o170000;
  const lower = followOrigin(core, Buffer.from(name, "hex"), kind);
  if (lower === undefined) return kind !== 0o040000 && kind !== 0o020000;
  return readNlinkDelta(core, dir, { name, attr, lower }) + attr.nlink <= 0;
}
