/**
 * Opens objects of a mount's user that are closed to that user by their own mode. Their owner could open them after a chmod, which a lower layer
 * never gets. So this opens nothing that the user's own programs could not: no object of somebody else, of a mount that was read-only for the
 * user, or with a flag that forbids a chmod. Nothing of it waits for the server of a file system.
 */
import { readFileSync } from "node:fs";
import { asOwner, type GivenPlaces, type OpenLayers, type PlanCaller } from "@sluice/keeper-link";
import { native, StatWord } from "@sluice/native";
import { AT, Attr, Errno, O, RESOLVE, S } from "@sluice/vfs";
import { discard } from "./discard.js";
import { mountIdOf } from "./registrar.js";

/** File systems of this machine alone, on which every owner may change modes. */
const DISKS: ReadonlySet<string> = new Set(["bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs"]);
const STATX_MNT_ID_UNIQUE = 0x4000;
/** Low words of stx_attributes. */
const IMMUTABLE_OR_APPEND = 0x10 | 0x20;
const ONE_NAME = RESOLVE.BENEATH | RESOLVE.NO_MAGICLINKS | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV;
const NAME_MAX = 255;

const attr = new Attr();

/** Unique ids of the keeper's mount clones. */
export interface OwnedPlaces {
  /** Those in which an owner could have changed modes. */
  readonly mounts: ReadonlySet<bigint>;
  /** The one of them in which files can be changed. */
  readonly changeable: bigint | undefined;
}

/** Whether the owner of a file could change its mode on the mount of a descriptor. No file system is asked. */
function isChangeable(fd: number): boolean {
  const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1];
  const row = readFileSync("/proc/self/mountinfo", "latin1")
    .split("\n")
    .find((line) => line.startsWith(`${id} `));
  const [front = "", back = ""] = row?.split(" - ") ?? [];
  const options = front.split(" ")[5]?.split(",") ?? [];
  const [type = "", , ofFileSystem = ""] = back.split(" ");
  return DISKS.has(type) && options.includes("rw") && ofFileSystem.split(",").includes("rw");
}

/** `places`: the descriptors that the user opened, in the user's own mounts. */
export function ownedPlaces({ lowers, upper }: OpenLayers, places: GivenPlaces): OwnedPlaces {
  const mounts = lowers.flatMap(({ rootFd }, at) => (isChangeable(places.lowers[at] as number) ? [mountIdOf(rootFd)] : []));
  const changeable = upper === undefined ? undefined : mountIdOf(upper.rootFd);
  if (changeable !== undefined && isChangeable(places.upper)) mounts.push(changeable);
  return { mounts: new Set(mounts), changeable };
}

function mountId(): bigint {
  return (BigInt(attr.words[StatWord.mountIdHi] as number) << 32n) | BigInt(attr.words[StatWord.mountIdLo] as number);
}

/** 0 if the object belongs to the user and lies in one of the places; `attr` is its own then. */
function refusal(fd: number, { mounts }: OwnedPlaces, { uid }: PlanCaller): number {
  const status = native.statx(fd, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW | AT.STATX_DONT_SYNC, attr.words);
  if (status < 0) return status;
  if (((attr.words[StatWord.mask] as number) & STATX_MNT_ID_UNIQUE) === 0) return -Errno.EOPNOTSUPP;
  if (!mounts.has(mountId())) return -Errno.EXDEV;
  const isClosed = attr.uid !== uid || ((attr.words[StatWord.attributes] as number) & IMMUTABLE_OR_APPEND) !== 0;
  return isClosed ? -Errno.EACCES : 0;
}

function isDirectory(): boolean {
  return (attr.mode & S.IFMT) === S.IFDIR;
}

function find(dirFd: number, name: string, places: OwnedPlaces, caller: PlanCaller): number {
  const isName = name.length <= NAME_MAX && !/[/\0]/.test(name) && name !== "." && name !== "..";
  const refused = isName ? refusal(dirFd, places, caller) : -Errno.EINVAL;
  if (refused !== 0) return refused;
  if (!isDirectory()) return -Errno.ENOTDIR;
  return asOwner(caller, () => native.openat2(dirFd, name, O.PATH | O.NOFOLLOW | O.CLOEXEC, 0, ONE_NAME));
}

function read(fd: number, places: OwnedPlaces, caller: PlanCaller): number {
  const mayRead = (of: number): number => {
    const refused = refusal(of, places, caller);
    if (refused !== 0 || isDirectory()) return refused;
    return (attr.mode & S.IFMT) === S.IFREG && mountId() !== places.changeable ? 0 : -Errno.EINVAL;
  };
  const refused = mayRead(fd);
  if (refused !== 0) return refused;
  // A lease of somebody is not waited for.
  const opened = asOwner(caller, () => native.openat(AT.FDCWD, `/proc/self/fd/${fd}`, O.RDONLY | O.NONBLOCK | O.CLOEXEC, 0));
  // It may have been given to somebody else meanwhile.
  const after = opened < 0 ? 0 : mayRead(opened);
  if (after === 0) return opened;
  discard(opened);
  return after;
}

/** @returns a descriptor, or the negative errno. `name` "": the object of `fd` is opened for reading; otherwise the name is found in it. */
export function openOwn(fd: number, name: string, { places, caller }: { places: OwnedPlaces; caller: PlanCaller }): number {
  return name === "" ? read(fd, places, caller) : find(fd, name, places, caller);
}
