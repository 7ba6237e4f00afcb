/**
 * One tree of the stack as the host has it: its root descriptor, and the only door to system calls below the overlay.
 *
 * Every object below a root is reached by single names relative to a descriptor of its directory, links never followed,
 * so nothing can lead out of the layer, into another mount, or past PATH_MAX.
 */
import { native } from "@sluice/native";
import { AT, type Attr, O, RESOLVE } from "@sluice/vfs";
import type { Permit } from "./permit.js";
import { RealDir } from "./real-dir.js";

/** System calls that change an object of a layer. (What opens a file to make it: `makeFile`.) */
type Changing =
  | "unlinkat"
  | "renameat2"
  | "mkdirat"
  | "mknodat"
  | "symlinkat"
  | "linkat"
  | "setxattrat"
  | "removexattrat"
  | "fchownat"
  | "fchmodat"
  | "utimensat"
  | "ftruncate"
  | "fallocateAsync"
  | "pwrite"
  | "pwriteAsync"
  | "copyFileRangeAsync"
  | "ficlone"
  | "setFlags"
  | "setFsxattr";

/** The system calls the overlay uses, but for those that change a layer. */
export const sys: Omit<typeof native, Changing> = native;
/** Those that do. */
const changing: Pick<typeof native, Changing> = native;

/** The system calls that change a layer, for the holder of a permit. */
export function effects(_permit: Permit): Pick<typeof native, Changing> {
  return changing;
}
export { SEAL } from "@sluice/native";

/** What is known of passthrough on a layer: nothing yet, that it works, or the errno class that rules it out. */
export type Eligibility = { state: "unknown" } | { state: "eligible" } | { state: "ineligible"; errno: number };

const UUID_BYTES = 16;
const TMPFS_MAGIC = 0x01021994;
const numbers = new Float64Array(12);

export class HostLayer {
  readonly root: RealDir;
  eligibility: Eligibility = { state: "unknown" };
  /** Which of the stack's devices it lies on: 0 for the first one met. Goes into inode numbers where there are several. */
  deviceIndex = 0;

  constructor(
    /** 0 is the top of the stack. */
    readonly index: number,
    /** "upper", "lower0", ... */
    readonly name: string,
    readonly spec: { path: string; rootFd: number },
    readonly writable: boolean,
  ) {
    this.root = new RealDir(this, undefined, "");
    this.root.fd = spec.rootFd;
  }

  #mountFd = -1;

  /** A descriptor that open_by_handle_at takes (it refuses O_PATH); opened when first needed. */
  get mountFd(): number {
    if (this.#mountFd < 0) this.#mountFd = sys.openat(this.root.fd, ".", O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
    return this.#mountFd;
  }

  #inMemory: boolean | undefined;

  /** On a tmpfs: nothing waits for a disk. */
  get inMemory(): boolean {
    this.#inMemory ??= sys.fstatfs(this.root.fd, numbers) >= 0 && numbers[0] === TMPFS_MAGIC;
    return this.#inMemory;
  }

  #uuid: Buffer | undefined;

  /** The file system's UUID as the kernel knows it (s_uuid); all zero where it has none. */
  get uuid(): Buffer {
    if (this.#uuid !== undefined) return this.#uuid;
    this.#uuid = Buffer.alloc(UUID_BYTES);
    const { mountFd } = this;
    if (mountFd >= 0) sys.getFsUuid(mountFd, this.#uuid);
    return this.#uuid;
  }

  /** Origins are written and followed without a UUID (uuid=off). */
  ignoreUuid(): void {
    this.#uuid = Buffer.alloc(UUID_BYTES);
  }

  close(): void {
    if (this.#mountFd >= 0) sys.close(this.#mountFd);
    sys.close(this.root.fd);
    this.root.fd = this.#mountFd = -1;
  }
}

/** fsync(2) of a file in a layer: on the pool, unless that would be for nothing. */
export function syncIn(layer: HostLayer | undefined, fd: number, dataOnly = false): number | Promise<number> {
  return layer?.inMemory === true ? sys.fsync(fd) : sys.fsyncAsync(fd, dataOnly);
}

/** Opens one name in a directory: no link followed, no other mount entered, whatever somebody plants there meanwhile. */
export function openName(dirFd: number, name: string, flags: number, mode: number): number {
  return sys.openat2(dirFd, name, flags | O.NOFOLLOW | O.CLOEXEC, mode, NAME_RESOLVE);
}

/**
 * For changes that no caller sees in the merged tree: copies in the scratch directory and their publication, marks, the index
 * of hard links, and the completion of requests that an earlier process began. `npm run check` lists the folders that use it.
 */
export const upkeep = changing;
/** The same, for whole trees: what an earlier mount left in the scratch directory and the index. */
export { emptyDirectory, removeTree } from "@sluice/native";

/** The same, for a file that is made (O_CREAT): a descriptor, or the negative errno. */
export function makeFile(_permit: Permit, at: { dirFd: number; name: string }, flags: number, mode: number): number {
  return sys.openat2(at.dirFd, at.name, flags | O.CREAT | O.NOFOLLOW | O.CLOEXEC, mode, NAME_RESOLVE);
}

/** A file without a name in a directory (O_TMPFILE): a descriptor, or the negative errno. */
export function makeNamelessFile(_permit: Permit, dirFd: number, flags: number, mode: number): number {
  return sys.openat(dirFd, ".", flags | O.TMPFILE | O.CLOEXEC, mode);
}

const NAME_RESOLVE = RESOLVE.BENEATH | RESOLVE.NO_MAGICLINKS | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV;

/** statx of one name, links not followed; the negative errno or 0. */
export function statName(dirFd: number, name: string, attr: Attr): number {
  return sys.statx(dirFd, name, AT.SYMLINK_NOFOLLOW, attr.words);
}

/** statx of the object a descriptor stands for. */
export function statFd(fd: number, attr: Attr): number {
  return sys.statx(fd, "", AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW, attr.words);
}
