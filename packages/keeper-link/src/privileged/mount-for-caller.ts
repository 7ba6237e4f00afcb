/**
 * Mounts for an ordinary user, who may rename, replace or link every directory on the way to the mount point. So the mount is put onto the
 * descriptor that the user opened. Later it is reached by its name in the directory above, which is held open: the kernel refuses to
 * rename or remove a mount point, and the mount's id tells it from another one there.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { MOUNT_ATTR, MNT, MS, native, toBytes } from "@sluice/native";
import { AT, Errno, FsError, O } from "@sluice/vfs";
import type { MountPlan, PlanCaller } from "../mount-plan.js";

/** A mount by its name in a directory. */
export interface HeldPlace {
  /** The directory above, an O_PATH descriptor. */
  readonly above: number;
  /** A byte string. */
  readonly name: string;
  /** Of the mount, as /proc/self/mountinfo has it. Once the mount is gone, another one may get it. */
  readonly id: number;
  /** The file system's device, and its owner: a mount of somebody else is never taken for this one. */
  readonly device: string;
  readonly uid: number;
}

/** Of an error of Node. */
export function errnoOf(cause: unknown): number {
  return cause instanceof Error && "errno" in cause && typeof cause.errno === "number" ? -cause.errno : Errno.EIO;
}

/** A row of /proc/self/mountinfo. */
interface Row {
  device: string;
  /** As the kernel escapes it. */
  path: string;
  type: string;
  /** Of the file system. */
  options: readonly string[];
}

/** The id of the mount that a descriptor belongs to. No file system is asked. */
function mountIdOfFd(fd: number): number {
  return Number(/^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? NaN);
}

function rowOf(id: number): Row | undefined {
  for (const line of readFileSync("/proc/self/mountinfo", "latin1").split("\n")) {
    const [front = "", back = ""] = line.split(" - ");
    const [own, , device = "", , path = ""] = front.split(" ");
    const [type = "", , options = ""] = back.split(" ");
    if (Number(own) === id) return { device, path, type, options: options.split(",") };
  }
  return undefined;
}

/** The id of the topmost mount at a name; NaN if there is nothing. O_PATH asks no server of a file system. */
function mountIdAt(above: number, name: string): number {
  const fd = native.openat(above, name, O.PATH | O.NOFOLLOW | O.CLOEXEC, 0);
  if (fd < 0) return NaN;
  try {
    return mountIdOfFd(fd);
  } finally {
    native.close(fd);
  }
}

export function isHeld({ above, name, id, device, uid }: HeldPlace): boolean {
  if (mountIdAt(above, name) !== id) return false;
  const row = rowOf(id);
  return row?.type.startsWith("fuse.") === true && row.device === device && row.options.includes(`user_id=${uid}`);
}

/** A path that leads to the mount, whatever its directories are called by now, and flags for umount2(2). */
export function reachHeld({ above, name }: HeldPlace): { path: string; flags: number } {
  return { path: `/proc/self/fd/${above}/${name}`, flags: MNT.UMOUNT_NOFOLLOW };
}

/** MS_ flags that are attributes of a mount; the others are of its file system. */
const ATTRIBUTES: readonly (readonly [ms: number, attribute: number])[] = [
  [MS.RDONLY, MOUNT_ATTR.RDONLY],
  [MS.NOEXEC, MOUNT_ATTR.NOEXEC],
  [MS.NOATIME, MOUNT_ATTR.NOATIME],
  [MS.STRICTATIME, MOUNT_ATTR.STRICTATIME],
  [MS.NODIRATIME, MOUNT_ATTR.NODIRATIME],
  [MS.NOSYMFOLLOW, MOUNT_ATTR.NOSYMFOLLOW],
];

function attributesOf(flags: number): number {
  let attributes: number = MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV;
  for (const [ms, attribute] of ATTRIBUTES) if ((flags & ms) !== 0) attributes |= attribute;
  return attributes;
}

function must(status: number, mountpoint: string, remedy: string): number {
  if (status < 0) throw new FsError(-status, `cannot mount on ${mountpoint}: ${remedy}`);
  return status;
}

const REFUSED = "the kernel refused it";

type Owned = Pick<MountPlan, "mountpoint" | "source" | "subtype" | "flags"> & { caller: Pick<PlanCaller, "uid" | "gid"> };

/** The words of a FUSE mount for its owner alone. */
function configure(context: number, fuseFd: number, { caller, ...plan }: Owned): number {
  const words: [string, string][] = [
    ["source", plan.source],
    ["subtype", plan.subtype],
    ["fd", `${fuseFd}`],
    ["rootmode", "40000"],
    ["user_id", `${caller.uid}`],
    ["group_id", `${caller.gid}`],
    ["default_permissions", ""],
    ...((plan.flags & MS.RDONLY) === 0 ? [] : ([["ro", ""]] as [string, string][])),
  ];
  for (const [key, value] of words) {
    const status = native.fsconfig(context, key, value);
    if (status < 0) return status;
  }
  return 0;
}

/** @returns a mount that is nowhere yet, and goes with its descriptor. @throws FsError */
export function mountNowhere(fuseFd: number, plan: Owned): number {
  const context = must(native.fsopen("fuse"), plan.mountpoint, "the kernel has no fuse file system; load the module (modprobe fuse)");
  try {
    must(configure(context, fuseFd, plan), plan.mountpoint, REFUSED);
    return must(native.fsmount(context), plan.mountpoint, REFUSED);
  } finally {
    native.close(context);
  }
}

/** It takes a descriptor to read. */
export const UNREADABLE = "the list of mounts cannot be read";
const ELSEWHERE = "its path leads elsewhere than before; leave it in its place and try again";

/** Undefined if the mount point was renamed meanwhile. */
function findPlace(directory: number, id: number, uid: number): HeldPlace | undefined {
  const row = rowOf(id);
  const path = row?.path.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  if (row === undefined || path === undefined || path === "/") return undefined;
  const above = native.openat(directory, "..", O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  if (above < 0) return undefined;
  const place = { above, name: basename(path), id, device: row.device, uid };
  let held = false;
  try {
    held = isHeld(place);
  } finally {
    if (!held) native.close(above);
  }
  return held ? place : undefined;
}

/** The place of a mount that was made just now. @throws FsError; then the mount is gone */
function placeOf(mounted: number, at: number, { mountpoint, caller }: Pick<Owned, "mountpoint" | "caller">): HeldPlace {
  const remove = (): number => native.umount2(`/proc/self/fd/${mounted}`, MNT.DETACH);
  let place: HeldPlace | undefined;
  try {
    place = findPlace(at, mountIdOfFd(mounted), caller.uid);
  } catch (cause) {
    remove();
    throw new FsError(errnoOf(cause), `cannot mount on ${mountpoint}: ${UNREADABLE}`, { cause });
  }
  if (place !== undefined) return place;
  remove();
  throw new FsError(Errno.ESTALE, `cannot mount on ${mountpoint}: ${ELSEWHERE}`);
}

/**
 * Mounts on `at`, a directory of the mount namespace of this process.
 * @returns the place, its path as a byte string, and the name of the connection. @throws FsError
 */
export function mountForCaller(
  fuseFd: number,
  plan: MountPlan & { caller: PlanCaller },
  at: number,
): { place: HeldPlace; path: string; connection: string | undefined } {
  const mounted = mountNowhere(fuseFd, plan);
  try {
    must(native.mountSetattr(mounted, "", AT.EMPTY_PATH, attributesOf(plan.flags), MOUNT_ATTR.ATIME_MASK), plan.mountpoint, REFUSED);
    const moved = native.moveMount(mounted, at);
    must(moved, plan.mountpoint, moved === -Errno.EINVAL ? "it is not in the mount namespace of the host service" : REFUSED);
    const place = placeOf(mounted, at, plan);
    return { place, path: toBytes(plan.mountpoint), connection: place.device.split(":")[1] };
  } finally {
    native.close(mounted);
  }
}
