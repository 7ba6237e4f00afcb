/**
 * Opens every layer once, through a private detached clone of its mount. In the clone of a lower layer the kernel itself refuses every write
 * and changes no atime. The clone is older than our mount and not recursive, so no path below it leads into the mount. This file does not
 * read layers.
 */
import { relative, sep } from "node:path";
import { MOUNT_ATTR, MS, native, OPEN_TREE, openBeneath, openRealDirectory, toBytes } from "@sluice/native";
import { AT, Errno, errnoName, O } from "@sluice/vfs";
import type { OpenLayer, OpenLayers } from "../keeper-link.js";
import type { GivenPlaces, MountPlan } from "../mount-plan.js";
import { openErrorWitness } from "./error-witness.js";
import { LayerError } from "./layer-error.js";
import { identityOf } from "./layer-identity.js";

export interface OpenedLayers extends OpenLayers {
  /** Of the mount that upper and work lie on, at the deepest directory above both. */
  clone: number | undefined;
  /** Releases that clone. Call it when the overlay is gone. */
  release(): void;
}

function must(result: number, path: string, what: string, remedy: string): number {
  if (result < 0) throw new LayerError(path, `${what} (${errnoName(-result)})`, remedy);
  return result;
}

const ACCESS_TIMES = MOUNT_ATTR.ATIME_MASK | MOUNT_ATTR.NODIRATIME;

/**
 * Replaces only the rule of access times; every other flag is added to the flags of the mount below. A mount that a user namespace
 * inherited keeps its rule (fs/namespace.c can_change_locked_flags), so only the other flags are set there. A lower layer loses nothing:
 * the kernel changes no access time through a read-only mount (fs/inode.c touch_atime).
 */
function protect(fd: number, set: number): number {
  const status = native.mountSetattr(fd, "", AT.EMPTY_PATH, set, ACCESS_TIMES);
  return status === -Errno.EPERM ? native.mountSetattr(fd, "", AT.EMPTY_PATH, set & ~ACCESS_TIMES, 0) : status;
}

function cloneMount(path: string, set: number): number {
  // Preflight has resolved the path, but its owner may have put a link there since.
  const place = must(openRealDirectory(toBytes(path), O.PATH), path, "it cannot be opened", "leave its path as it is, and try again");
  try {
    return cloneOpened(place, path, set);
  } finally {
    native.close(place);
  }
}

/** The same of a directory that is open already. */
function cloneOpened(place: number, path: string, set: number): number {
  const cloned = native.openTree(place, "", OPEN_TREE.CLONE | AT.EMPTY_PATH | O.CLOEXEC);
  const fd = must(cloned, path, "a private view of this layer cannot be made", cloneRemedy(cloned));
  const status = protect(fd, set);
  if (status < 0) {
    native.close(fd);
    must(status, path, "the private view of this layer cannot be protected", "use a kernel of 5.12 or later");
  }
  return fd;
}

/** EINVAL: an unbindable mount, or in a user namespace a clone that would uncover mounts (fs/namespace.c has_locked_children). */
function cloneRemedy(status: number): string {
  return status === -Errno.EINVAL
    ? "it must not lie on an unbindable mount nor, in a user namespace, have another mount below it: name a directory further down"
    : "run as root, or in 'unshare -Urm', which has a mount namespace of its own";
}

/** The clone that an upper layer and its work directory, which lie below `root`, are opened in. `flags`: those of our mount. */
export function cloneUpper(root: string, flags: number): number {
  return cloneMount(root, MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | accessTimes(flags));
}

/** From now on nothing is written through a clone: -EBUSY if something is open for writing. With `on` false, it can be again. */
export function setReadOnly(clone: number, on: boolean): number {
  if (on) return protect(clone, MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOATIME);
  return native.mountSetattr(clone, "", AT.EMPTY_PATH, 0, MOUNT_ATTR.RDONLY);
}

export function openInClone(rootFd: number, root: string, path: string): number {
  const below = relative(root, path);
  return must(
    openBeneath(rootFd, below === "" ? "." : toBytes(below), O.PATH | O.DIRECTORY, 0),
    path,
    "it cannot be opened in the private view of its mount",
    "check that nothing moved or mounted over it just now",
  );
}

/** The deepest common directory. It is cloned as one mount, so that rename(2) works between the two. */
export function commonAncestor(one: string, other: string): string {
  const left = one.split(sep);
  const right = other.split(sep);
  let count = 0;
  while (count < left.length && left[count] === right[count]) count++;
  return left.slice(0, count).join(sep) || "/";
}

/**
 * The rule of access times in the upper layer: from the flags of our mount, by mount(2), and not from the mount that the layer lies on
 * (fs/overlayfs/super.c does not inherit them either). FUSE leaves these times to the daemon.
 */
function accessTimes(flags: number): number {
  const directories = (flags & MS.NODIRATIME) !== 0 ? MOUNT_ATTR.NODIRATIME : 0;
  if ((flags & MS.STRICTATIME) !== 0) return MOUNT_ATTR.STRICTATIME | directories;
  return ((flags & MS.NOATIME) !== 0 ? MOUNT_ATTR.NOATIME : MOUNT_ATTR.RELATIME) | directories;
}

/** For layers that no overlay took over. */
export function closeLayers({ lowers, dataLowers, upper, work, errorWitness = -1 }: OpenLayers): void {
  const roots = [...lowers, ...dataLowers, upper, work].map((layer) => layer?.rootFd ?? -1);
  for (const fd of [...roots, errorWitness]) if (fd >= 0) native.close(fd);
}

const LOWER_FLAGS = MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOATIME | MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV;

type PlannedLayers = Pick<MountPlan, "lowers" | "dataLowers" | "upper" | "work" | "flags" | "volatile" | "caller" | "checked">;

/**
 * The roots of the layers that an ordinary user opened. The upper layer and the work directory are found again in the clone of a directory
 * above both, by their paths below it, and must be the directories that the user opened. @throws LayerError
 */
function openGiven(config: PlannedLayers, places: GivenPlaces, held: (fd: number) => number): Omit<OpenedLayers, "release"> {
  const lowers = config.lowers.map((path, at) => ({ path, rootFd: held(cloneOpened(places.lowers[at] as number, path, LOWER_FLAGS)) }));
  const { upper: upperPath, work: workPath } = config;
  if (upperPath === undefined || workPath === undefined)
    return { lowers, dataLowers: [], upper: undefined, work: undefined, errorWitness: undefined, clone: undefined };
  const root = commonAncestor(upperPath, workPath);
  const clone = held(cloneOpened(places.above, root, MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | accessTimes(config.flags)));
  const found = (path: string, given: number): OpenLayer => {
    const rootFd = held(openInClone(clone, root, path));
    must(isSameObject(rootFd, given) ? 0 : -Errno.ESTALE, path, "its path leads elsewhere than before", "leave it as it is, and try again");
    return { path, rootFd };
  };
  const upper = found(upperPath, places.upper);
  const work = found(workPath, places.work);
  return { lowers, dataLowers: [], upper, work, errorWitness: undefined, clone };
}

function isSameObject(one: number, other: number): boolean {
  const identity = identityOf(one);
  return identity !== undefined && identity === identityOf(other);
}

/** @throws LayerError if another directory replaced one that was checked; only mounts with `layersBeneath` note those */
function mustBeChecked({ path, rootFd }: OpenLayer, checked: MountPlan["checked"]): OpenLayer {
  const same = checked === undefined || (checked[path] !== undefined && checked[path] === identityOf(rootFd));
  must(same ? 0 : -Errno.ESTALE, path, "another directory took its place after it was checked", "leave its path as it is, and try again");
  return { path, rootFd };
}

/** The paths are real paths, from preflight. The caller owns the descriptors. */
export function openLayers(config: PlannedLayers): OpenedLayers {
  const fds: number[] = [];
  const held = (fd: number): number => {
    fds.push(fd);
    return fd;
  };
  try {
    if (config.caller !== undefined) {
      const given = openGiven(config, config.caller.places, held);
      return { ...given, release: () => void (given.clone !== undefined && native.close(given.clone)) };
    }
    const openLower = (path: string): OpenLayer => mustBeChecked({ path, rootFd: held(cloneMount(path, LOWER_FLAGS)) }, config.checked);
    const lowers = config.lowers.map(openLower);
    const dataLowers = config.dataLowers.map(openLower);
    if (config.upper === undefined || config.work === undefined)
      return { lowers, dataLowers, upper: undefined, work: undefined, errorWitness: undefined, clone: undefined, release: () => undefined };
    const root = commonAncestor(config.upper, config.work);
    const clone = held(cloneUpper(root, config.flags));
    const opened = (path: string): OpenLayer => mustBeChecked({ path, rootFd: held(openInClone(clone, root, path)) }, config.checked);
    const [upper, work] = [opened(config.upper), opened(config.work)];
    const witness = config.volatile ? openErrorWitness(work) : -1;
    const errorWitness = witness < 0 ? undefined : witness;
    return { lowers, dataLowers, upper, work, errorWitness, clone, release: () => void native.close(clone) };
  } catch (error) {
    for (const fd of fds) native.close(fd);
    throw error;
  }
}
