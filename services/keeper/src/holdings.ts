/**
 * What outlives a server: the /dev/fuse descriptor and the mount, the layers' private clones, the journal's memory, what
 * was agreed in INIT, backing ids, and descriptors that servers stored. All of it bounded, nothing of it looked into.
 */
import { close } from "node:fs";
import {
  abortDevice,
  claimUpper,
  type MountPlan,
  type MountPoint,
  mountOn,
  type OpenLayers,
  openDevice,
  openLayers,
  unmountDevice,
} from "@sluice/keeper-link";
import { native, POLL, SEAL } from "@sluice/native";
import { Errno, FsError } from "@sluice/vfs";
import { isOf, mountIdOf, registerChecked } from "./registrar.js";

/** Descriptors that are never given to the store: for links, logs and what Node opens. */
const RESERVED_FDS = 256;
/** More would not be of use to a server either: its own limit is the same. */
const STORE_LIMIT = 16_384;

export class Holdings {
  readonly fuseFd: number;
  readonly journalFd: number;
  readonly layers: OpenLayers;
  readonly storeLimit: number;
  init: Buffer | undefined;
  readonly #plan: MountPlan;
  readonly #store = new Map<bigint, number>();
  readonly #backingIds = new Set<number>();
  readonly #clones: ReadonlySet<bigint>;
  readonly #release: () => void;
  #mounted: MountPoint | undefined;
  #unmounting = false;

  /** @throws LayerError, FsError */
  constructor(plan: MountPlan) {
    this.#plan = plan;
    const { release, ...layers } = openLayers(plan);
    this.layers = layers;
    const letGo = claimUpper(layers.upper, layers.work);
    this.#release = () => {
      letGo();
      release();
    };
    this.#clones = new Set(this.#roots().map(mountIdOf));
    this.fuseFd = openDevice();
    this.journalFd = native.memoryFile("sluice-journal");
    if (this.journalFd < 0) throw new FsError(-this.journalFd, "cannot make the journal's memory: free some");
    native.addSeals(this.journalFd, SEAL.SHRINK | SEAL.SEAL);
    this.storeLimit = Math.max(0, Math.min(STORE_LIMIT, native.nofileLimit().soft - this.#roots().length - RESERVED_FDS));
  }

  #roots(): number[] {
    const { lowers, dataLowers, upper, work } = this.layers;
    return [...lowers, ...dataLowers, upper, work].flatMap((layer) => (layer === undefined ? [] : [layer.rootFd]));
  }

  get stored(): ReadonlyMap<bigint, number> {
    return this.#store;
  }

  /** Once. 0, or the negative errno. */
  mount(): number {
    if (this.#mounted !== undefined) return -Errno.EBUSY;
    try {
      const source = Buffer.from(this.#plan.source, "utf8").toString("latin1");
      this.#mounted = mountOn(this.fuseFd, { ...this.#plan, source });
      return 0;
    } catch (error) {
      if (error instanceof FsError) return -error.errno;
      throw error;
    }
  }

  async unmount(lazy: boolean): Promise<number> {
    if (this.#mounted === undefined) return -Errno.EINVAL;
    // One at a time: each occupies a thread of the pool.
    if (this.#unmounting) return -Errno.EBUSY;
    this.#unmounting = true;
    const errno = await unmountDevice(this.#mounted, lazy);
    this.#unmounting = false;
    return -errno;
  }

  abort(): number {
    return this.#mounted !== undefined && abortDevice(this.#mounted) ? 0 : -Errno.EOPNOTSUPP;
  }

  get mounted(): boolean {
    return this.#mounted !== undefined;
  }

  /** Unmounted by somebody, or aborted. */
  get connectionOver(): boolean {
    return this.#mounted !== undefined && (native.pollNow(this.fuseFd, 0, 0) & POLL.ERR) !== 0;
  }

  /** A backing id, or the negative errno. The descriptor stays the caller's. */
  register(fd: number): number {
    const id = registerChecked(this.fuseFd, fd, this.#clones);
    if (id > 0) this.#backingIds.add(id);
    return id;
  }

  closeBacking(id: number): void {
    if (this.#backingIds.delete(id)) native.backingClose(this.fuseFd, id);
  }

  /** Takes the descriptor over, whatever comes of it. False where there is no room for it, or where it is of no layer. */
  store(key: bigint, fd: number): boolean {
    const fits = this.#store.has(key) || this.#store.size < this.storeLimit;
    if (!fits || !isOf(fd, this.#clones)) {
      discard(fd);
      return false;
    }
    this.drop(key);
    this.#store.set(key, fd);
    return true;
  }

  drop(key: bigint): void {
    const fd = this.#store.get(key);
    if (fd === undefined) return;
    this.#store.delete(key);
    discard(fd);
  }

  /** Takes the mount away and lets go of everything. */
  async end(): Promise<void> {
    if (this.#mounted !== undefined) {
      // Who still has files open gets ENOTCONN: nobody serves them any more. A server that hangs has the device open, too, so
      // that closing it would not do; and where there is no sysfs this needs the mount in its place.
      if (!this.connectionOver) abortDevice(this.#mounted);
      // An aborted connection leaves its mount behind.
      await unmountDevice(this.#mounted, true);
    }
    for (const key of [...this.#store.keys()]) this.drop(key);
    for (const fd of [...this.#roots(), this.fuseFd, this.journalFd, this.layers.errorWitness ?? -1]) if (fd >= 0) native.close(fd);
    this.#release();
  }
}

/** On the pool: closing may wait for whoever serves the file, and the keeper waits for nobody. */
export function discard(fd: number): void {
  close(fd, () => undefined);
}
