/** Opens /dev/fuse, mounts and unmounts. Its errors name a remedy. */
import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { MNT, native, StatWord, toBytes, toText } from "@sluice/native";
import { AT, Attr, Errno, FsError, O } from "@sluice/vfs";
import type { MountPlan } from "../mount-plan.js";
import { errnoOf, type HeldPlace, isHeld, reachHeld, UNREADABLE } from "./mount-for-caller.js";

const AT_NO_AUTOMOUNT = 0x800;
/** Of the mask that came: the mount's id is the unique one. */
const STATX_MNT_ID_UNIQUE = 0x4000;
const attr = new Attr();
const S_IFDIR_OCTAL = "40000";

export interface MountPoint {
  readonly fuseFd: number;
  /** The mount point's real path as a byte string. */
  readonly path: string;
  /** The connection's name in /sys/fs/fuse/connections; undefined if it is unknown. */
  readonly connection: string | undefined;
  /** The kernel never reuses it for another mount, unlike the connection's name. Undefined before Linux 6.8. */
  readonly mountId: bigint | undefined;
  /** For the mount of an ordinary user, who could lead its path elsewhere: the mount is reached by this alone. */
  readonly place?: HeldPlace | undefined;
}

export type MountRequest = Pick<MountPlan, "mountpoint" | "source" | "subtype" | "flags" | "labels" | "allowOther" | "owner">;

const ROOT = { uid: 0, gid: 0 };

/** @throws FsError with the reason */
export function openDevice(): number {
  const fuseFd = native.fuseOpen();
  if (fuseFd < 0) throw new FsError(-fuseFd, `cannot open /dev/fuse: ${deviceRemedy(-fuseFd)}`);
  return fuseFd;
}

/**
 * Opens the mount point for `mountOn`, which then reaches this very directory, whatever the path leads to by then. `mountpoint` is a real
 * path. @throws FsError with the reason
 */
export function openMountpoint(mountpoint: string): number {
  const fd = native.openat(AT.FDCWD, toBytes(mountpoint), O.PATH | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC, 0);
  if (fd < 0) throw new FsError(-fd, `cannot mount on ${mountpoint}: ${mountRemedy(-fd)}`);
  return fd;
}

/** Mounts with an open device, on the descriptor of `openMountpoint`. @throws FsError with the reason; the device stays open */
export function mountOn(fuseFd: number, place: MountRequest, at: number): MountPoint {
  const path = toBytes(place.mountpoint);
  // From now on the mount is known by its path, for unmounting and for its users.
  if (resolve(place.mountpoint) !== path || !isSame(at, path)) {
    throw new FsError(Errno.ESTALE, `cannot mount on ${place.mountpoint}: ${mountRemedy(Errno.ESTALE)}`);
  }
  const mounted = native.mount(place.source, `/proc/self/fd/${at}`, `fuse.${place.subtype}`, place.flags, mountData(fuseFd, place));
  if (mounted < 0) throw new FsError(-mounted, `cannot mount on ${place.mountpoint}: ${refusalOf(-mounted, place)}`);
  try {
    return { fuseFd, path, connection: connectionOf(path), mountId: uniqueMountId(path) };
  } catch (cause) {
    native.umount2(path, MNT.DETACH);
    throw new FsError(errnoOf(cause), `cannot mount on ${place.mountpoint}: ${UNREADABLE}`, { cause });
  }
}

/** The words that the kernel's FUSE and security modules take, as mount(2) has them. */
export function mountData(
  fuseFd: number,
  { owner, allowOther, labels = [] }: Pick<MountRequest, "owner" | "allowOther" | "labels">,
): string {
  const { uid, gid } = owner ?? ROOT;
  const words = [`fd=${fuseFd}`, `rootmode=${S_IFDIR_OCTAL}`, `user_id=${uid}`, `group_id=${gid}`, "default_permissions"];
  return [...words, ...(allowOther ? ["allow_other"] : []), ...labels].join(",");
}

function isSame(fd: number, path: string): boolean {
  const { words } = attr;
  if (native.statx(fd, "", AT.EMPTY_PATH | AT.STATX_DONT_SYNC, words) < 0) return false;
  const opened = idOf(words);
  return native.statx(AT.FDCWD, path, AT.SYMLINK_NOFOLLOW | AT.STATX_DONT_SYNC, words) === 0 && idOf(words) === opened;
}

/** Device and inode number, and the mount that it lies in. */
function idOf(words: Uint32Array): string {
  return [attr.devMajor, attr.devMinor, attr.ino, words[StatWord.mountIdHi], words[StatWord.mountIdLo]].join(":");
}

/** Of the mount on `path`. The filesystem itself is not asked. */
function uniqueMountId(path: string): bigint | undefined {
  const { words } = attr;
  const status = native.statx(AT.FDCWD, path, AT.SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT.STATX_DONT_SYNC, words);
  if (status < 0 || ((words[StatWord.mask] as number) & STATX_MNT_ID_UNIQUE) === 0) return undefined;
  return (BigInt(words[StatWord.mountIdHi] as number) << 32n) | BigInt(words[StatWord.mountIdLo] as number);
}

/** Whether the topmost mount on its path is this one, and not one that took its place. The list of mounts takes a descriptor to read. */
function isInPlace(at: MountPoint): boolean {
  if (at.place !== undefined) return isHeld(at.place);
  const now = at.mountId === undefined ? undefined : uniqueMountId(at.path);
  if (now !== undefined) return now === at.mountId;
  return at.connection === undefined || connectionOf(at.path) === at.connection;
}

/** For umount2(2). Undefined if the mount is gone, or another one covers it. */
function targetOf(at: MountPoint): { path: string; flags: number } | undefined {
  if (isInPlace(at)) return at.place === undefined ? { path: at.path, flags: 0 } : reachHeld(at.place);
  // It was moved, or a directory above it was renamed.
  const { mountId, connection } = at;
  if (mountId === undefined || connection === undefined) return undefined;
  const path = placesOf(connection).find((place) => uniqueMountId(place) === mountId);
  return path === undefined ? undefined : { path, flags: 0 };
}

/** Opens the device and mounts, on whatever the path leads to. @throws FsError with the reason; nothing stays open then */
export function mountDevice(place: MountRequest): MountPoint {
  const fuseFd = openDevice();
  let at = -1;
  try {
    const mountpoint = toText(resolve(place.mountpoint));
    at = openMountpoint(mountpoint);
    return mountOn(fuseFd, { ...place, mountpoint }, at);
  } catch (error) {
    native.close(fuseFd);
    throw error;
  } finally {
    if (at >= 0) native.close(at);
  }
}

/** umount2 on the pool; the positive errno, or 0. EINVAL where the mount is gone: another may have taken its place since. */
export async function unmountDevice(at: MountPoint, lazy: boolean): Promise<number> {
  const target = targetOf(at);
  if (target === undefined) return Errno.EINVAL;
  const result = await native.umount2Async(target.path, target.flags | (lazy ? MNT.DETACH : 0));
  return result < 0 ? -result : 0;
}

/**
 * Aborts the connection, so that every caller gets ENOTCONN at once: through sysfs, which names the connection and not a
 * path; if that is missing or read-only (containers), by a forced unmount, if the topmost mount there is ours.
 * False if neither is possible (unmounted lazily, no sysfs): then only closing the descriptor ends it.
 */
export function abortDevice(at: MountPoint): boolean {
  if (at.connection === undefined) return false;
  if (writeAbort(at.connection)) return true;
  const target = targetOf(at);
  if (target === undefined) return false;
  native.umount2(target.path, target.flags | MNT.FORCE);
  return true;
}

function writeAbort(connection: string): boolean {
  try {
    writeFileSync(`/sys/fs/fuse/connections/${connection}/abort`, "1");
    return true;
  } catch {
    return false;
  }
}

function resolve(mountpoint: string): string {
  try {
    return realpathSync(mountpoint, { encoding: "latin1" });
  } catch (cause) {
    const errno = errnoOf(cause);
    throw new FsError(errno, `cannot mount on ${mountpoint}: ${mountRemedy(errno)}`, { cause });
  }
}

/** Mounts of this namespace, read without touching them: minor device numbers, and paths as the kernel escapes them. */
function mountRows(): { path: string; minor: string | undefined }[] {
  const rows = readFileSync("/proc/self/mountinfo", "latin1").split("\n");
  return rows.map((row) => {
    const [, , device = "", , path = ""] = row.split(" ", 5);
    return { path, minor: device.split(":")[1] };
  });
}

/** The name of the connection of the last mount on `path`. */
function connectionOf(path: string): string | undefined {
  const escaped = path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
  return mountRows().findLast((row) => row.path === escaped)?.minor;
}

/** The paths on which the file system of a connection is mounted, whole or in part. */
function placesOf(connection: string): string[] {
  const places = mountRows().filter(({ minor }) => minor === connection);
  return places.map(({ path }) => path.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))));
}

export function deviceRemedy(errno: number): string {
  switch (errno) {
    case Errno.ENOENT:
    case Errno.ENODEV:
    case Errno.ENXIO:
      return "the kernel has no fuse here; load the module (modprobe fuse), or give the container the device";
    case Errno.EACCES:
    case Errno.EPERM:
      return "no permission; run as root, or allow the device in the container's device rules";
    default:
      return "see the errno";
  }
}

function refusalOf(errno: number, { labels = [] }: Pick<MountRequest, "labels">): string {
  return errno === Errno.EINVAL && labels.length > 0
    ? `the kernel does not take ${labels.join(",")}; give a label that its policy knows`
    : mountRemedy(errno);
}

export function mountRemedy(errno: number): string {
  switch (errno) {
    case Errno.EPERM:
    case Errno.EACCES:
      return "no privilege; run as root (CAP_SYS_ADMIN) or in 'unshare -Urm', and let AppArmor or seccomp allow mount";
    case Errno.ENOENT:
      return "it does not exist; make the directory first";
    case Errno.ENOTDIR:
      return "it is not a directory";
    case Errno.EBUSY:
      return "it is in use already; choose another mount point or unmount it";
    case Errno.ESTALE:
      return "its path leads elsewhere than before; leave it in its place and try again";
    case Errno.ENODEV:
      return "the kernel has no fuse file system; load the module (modprobe fuse)";
    case Errno.ENOTCONN:
      return "a dead mount is in the way; unmount it first (umount -l)";
    default:
      return "the kernel refused it";
  }
}
