/** One tree of the stack, and its directories as they hang in that tree. Each knows the other, so both are declared here. */
import type { ByteName } from "@sluice/vfs";
import { closeFd, openDirectory, sys } from "./system-calls.js";

/** Knowledge of passthrough on a layer: none yet, it works, or the errno class that rules it out. */
export type Eligibility = { state: "unknown" } | { state: "eligible" } | { state: "ineligible"; errno: number };

const UUID_BYTES = 16;
const TMPFS_MAGIC = 0x01021994;
const numbers = new Float64Array(12);

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

  /** A descriptor that open_by_handle_at takes (it refuses O_PATH); opened when first needed. */
  get mountFd(): number {
    if (this.#mountFd < 0) this.#mountFd = openDirectory(this.root.fd);
    return this.#mountFd;
  }

  #inMemory: boolean | undefined;

  /** On a tmpfs: nothing waits for a disk. */
  get inMemory(): boolean {
    this.#inMemory ??= sys.fstatfs(this.root.fd, numbers) >= 0 && numbers[0] === TMPFS_MAGIC;
    return this.#inMemory;
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

  close(): void {
    if (this.#mountFd >= 0) closeFd(this.#mountFd);
    closeFd(this.root.fd);
    this.root.fd = this.#mountFd = -1;
  }
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
  /** Its inode number as it was found; 0: made by us. */
  inoLo = 0;
  inoHi = 0;
  /** See node/protection.ts; undefined while nobody asked. */
  protection: number | undefined = undefined;

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
