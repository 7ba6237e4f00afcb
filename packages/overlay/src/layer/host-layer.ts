/** One tree of the stack, and its directories as they hang in that tree. Each knows the other, so both are declared here. */
import { Attr, type ByteName } from "@sluice/vfs";
import type { NameFilter } from "./name-filter.js";
import { closeFd, openDirectory, statFd, sys } from "./system-calls.js";

/** Knowledge of passthrough on a layer: none yet, it works, or the errno class that rules it out. */
export type Eligibility = { state: "unknown" } | { state: "eligible" } | { state: "ineligible"; errno: number };

const UUID_BYTES = 16;
const TMPFS_MAGIC = 0x01021994;
const BTRFS_MAGIC = 0x9123683e;
/** ext4, tmpfs, xfs, btrfs, squashfs and erofs. */
const LISTING_ALL_NAMES: ReadonlySet<number> = new Set([0xef53, TMPFS_MAGIC, 0x58465342, BTRFS_MAGIC, 0x73717368, 0xe0f5e1e2]);
const TELLING_SIZES = LISTING_ALL_NAMES;
/** Misses that no directory reaches. */
export const NEVER = 0x3fff_ffff;
/** A directory with fewer misses is not worth a filter. */
const LEAST_MISSES = 8;
const numbers = new Float64Array(12);
const rootAttr = new Attr();
/** In the key of a file: its device is not that of its layer's root. */
const NESTED = 0x8000_0000;

export class HostLayer {
  readonly root: RealDir;
  eligibility: Eligibility = { state: "unknown" };
  /** The number of its device among those of the stack: 0 for the first one. Goes into inode numbers if there are several. */
  deviceIndex = 0;

  /** It is the upper layer, or was it before (restack.ts): nobody else changes it, and inode numbers in it may come from an origin. */
  readonly isOurs: boolean;
  /** In the upper layer without an index of hard links: the names of files beyond their first ones. Infinity if nobody knows. */
  extraLinks = 0;

  constructor(
    /** 0 is the top of the stack. It changes in `moveDown` alone. */
    public index: number,
    /** "upper", "lower0", ... Policies know it by this name, so it stays as long as the mount. */
    readonly name: string,
    readonly spec: { path: string; rootFd: number },
    /** It is the upper layer. It changes in `moveDown` alone. */
    public writable: boolean,
  ) {
    this.isOurs = writable;
    this.root = new RealDir(this, undefined, "");
    this.root.fd = spec.rootFd;
  }

  /** Another upper layer is put on top of the stack: nothing changes this one from now on. */
  moveDown(): void {
    this.index++;
    this.writable = false;
  }

  #mountFd = -1;

  #device: number | undefined;

  /**
   * Does the object lie on another device than the root? A subvolume of btrfs has a device number of its own, and a snapshot has the inode
   * numbers of its original.
   */
  isNested(attr: Attr): boolean {
    if (this.#device === undefined && statFd(this.root.fd, rootAttr) === 0) this.#device = deviceNumber(rootAttr);
    return deviceNumber(attr) !== this.#device;
  }

  /** Tells a file from all others of the stack, by 32-bit numbers: its device, and the halves of its inode number. */
  fileKey(attr: Attr): string {
    const device = this.isNested(attr) ? (deviceNumber(attr) | NESTED) >>> 0 : this.deviceIndex;
    return `${device}:${attr.words[1]}:${attr.words[0]}`;
  }

  /** A descriptor that open_by_handle_at takes (it refuses O_PATH); opened when first needed. */
  get mountFd(): number {
    if (this.#mountFd < 0) this.#mountFd = openDirectory(this.root.fd);
    return this.#mountFd;
  }

  #magic: number | undefined;

  /** Of its file system, as statfs(2) tells it; 0 if that fails. */
  get #fileSystem(): number {
    this.#magic ??= sys.fstatfs(this.root.fd, numbers) >= 0 ? (numbers[0] as number) >>> 0 : 0;
    return this.#magic;
  }

  /** On a tmpfs: nothing waits for a disk. */
  get inMemory(): boolean {
    return this.#fileSystem === TMPFS_MAGIC;
  }

  /** On a btrfs, of which each subvolume has a device number of its own. The kernel mounts no second one with the same UUID. */
  get hasSubvolumes(): boolean {
    return this.#fileSystem === BTRFS_MAGIC;
  }

  /** On a file system whose directories list every name that a look-up finds, at least in one spelling. */
  get listsAllNames(): boolean {
    return LISTING_ALL_NAMES.has(this.#fileSystem);
  }

  /**
   * On a file system whose files have as many bytes as they say. Elsewhere (procfs, cgroupfs, FUSE with direct I/O) a file may have content
   * and say that it is empty.
   */
  get tellsSizes(): boolean {
    return TELLING_SIZES.has(this.#fileSystem);
  }

  #uuid: Buffer | undefined;

  /** The file system's UUID as the kernel knows it (s_uuid); all zero if it has none. */
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

  /** Of a layer on the same file system: both are marked alike. */
  takeUuidOf(other: HostLayer): void {
    this.#uuid = other.uuid;
  }

  close(): void {
    if (this.#mountFd >= 0) closeFd(this.#mountFd);
    closeFd(this.root.fd);
    this.root.fd = this.#mountFd = -1;
  }
}

export function deviceNumber({ devMajor, devMinor }: Attr): number {
  return ((devMajor << 20) | devMinor) >>> 0;
}

/** A directory of one layer: its place in the layer's tree, and its cached descriptor. */
export class RealDir {
  /** O_PATH descriptor, or -1. Owned by DirectoryFds (the root's by the layer). */
  fd = -1;
  /** Its index in the descriptor cache while `fd` is open. */
  slot = 0;
  /** Second chance of the descriptor cache's clock. */
  used = false;
  /** In the upper layer: may hold objects with an origin (overlay.impure); read once. */
  impure = false;
  /** A lower directory that is marked to hold whiteouts in the form of an attribute (opaque = "x"). */
  xattrWhiteouts = false;
  /** Its inode number and device as they were found; 0: made by us. */
  inoLo = 0;
  inoHi = 0;
  device = 0;
  /** See node/protection.ts; undefined while nobody asked. */
  protection: number | undefined = undefined;
  /** In a lower layer, once names were missed often: of its names. See merge/known-absence.ts. */
  filter: NameFilter | undefined = undefined;
  misses = 0;
  /** So many make reading the directory worthwhile. */
  missesToRead = LEAST_MISSES;

  constructor(
    readonly layer: HostLayer,
    public parent: RealDir | undefined,
    public name: ByteName,
  ) {}

  /** The path below the layer's root as components. */
  components(): ByteName[] {
    if (this.parent === undefined) return [];
    const names: ByteName[] = [this.name];
    for (let dir = this.parent; dir.parent !== undefined; dir = dir.parent) names.push(dir.name);
    return names.reverse();
  }
}

/** fsync(2) of a file in a layer. Runs on the pool, unless the layer lies in memory and nothing waits. */
export function syncIn(layer: HostLayer | undefined, fd: number, dataOnly = false): number | Promise<number> {
  return layer?.inMemory === true ? sys.fsync(fd) : sys.fsyncAsync(fd, dataOnly);
}
