/**
 * The resources that outlive a server: the /dev/fuse descriptor and the mount, the layers' private clones, the journal's memory, the
 * result of INIT, backing ids, and descriptors that servers stored. All of them are bounded, and the keeper reads none of their content.
 */
import {
  abortDevice,
  asCaller,
  claimUpper,
  closeLayers,
  type GivenPlaces,
  JOURNAL_LIMIT_BYTES,
  type MountPlan,
  type MountPoint,
  mountForCaller,
  mountOn,
  type OpenLayers,
  openDevice,
  openLayers,
  openMountpoint,
  unmountDevice,
} from "@sluice/keeper-link";
import { native, POLL, SEAL, toBytes } from "@sluice/native";
import { Errno, FsError } from "@sluice/vfs";
import { discard, discarded } from "./discard.js";
import { StoredMemory } from "./stored-memory.js";
import { openOwn, type OwnedPlaces, ownedPlaces } from "./own-objects.js";
import { isOf, mountIdOf, registerChecked } from "./registrar.js";

/** Descriptors that the store never gets: they are for links, logs, Node itself, and descriptors that wait to be closed. */
const RESERVED_FDS = 384;
/** A server could not use more: its own limit is the same. */
const STORE_LIMIT = 16_384;

export class MountResources {
  readonly fuseFd: number;
  readonly journalFd: number;
  readonly layers: OpenLayers;
  readonly storeLimit: number;
  init: Buffer | undefined;
  /** Mounts by `mount` in its turn among the mounts of one mount point. */
  claim = (mount: () => number): number => mount();
  readonly #plan: MountPlan;
  readonly #store = new Map<bigint, number>();
  readonly #memory = new StoredMemory();
  readonly #backingIds = new Set<number>();
  /** A server has, or had, each registered file open. */
  readonly #backingLimit: number;
  readonly #clones: ReadonlySet<bigint>;
  /** The clone in which files can be changed. */
  readonly #changeable: bigint | undefined;
  /** Undefined unless an ordinary user had the mount made. */
  readonly #owned: OwnedPlaces | undefined;
  readonly #release: () => void;
  /** The mount point, opened before any server could ask for the mount; -1 once it is mounted. */
  #place: number;
  #mounted: MountPoint | undefined;
  #unmounting = false;
  /** The server ended the mount, although a copy of it that nobody uses is left. */
  #givenUp = false;
  #holds = true;

  /** `places`: the mounts that may share this process's descriptors. @throws LayerError, FsError; then it holds nothing */
  constructor(plan: MountPlan, places = 1) {
    this.#plan = plan;
    const { release, ...layers } = openLayers(plan);
    this.layers = layers;
    const undo = [release, () => closeLayers(layers)];
    const opened = (fd: number): number => {
      undo.push(() => native.close(fd));
      return fd;
    };
    try {
      const { caller } = plan;
      const letGo = claimUpper(layers.upper, layers.work, caller === undefined ? undefined : (open) => asCaller(caller, open));
      undo.push(letGo);
      this.#release = () => {
        letGo();
        release();
      };
      this.#clones = new Set(this.#roots().map(mountIdOf));
      this.#changeable = layers.upper === undefined ? undefined : mountIdOf(layers.upper.rootFd);
      this.#owned = caller === undefined ? undefined : ownedPlaces(layers, caller.places);
      this.#place = opened(caller === undefined ? openMountpoint(plan.mountpoint) : takeMountpoint(caller.places));
      this.fuseFd = opened(openDevice());
      this.journalFd = makeJournal();
    } catch (error) {
      for (const step of undo.reverse()) step();
      throw error;
    }
    const { soft } = native.nofileLimit();
    this.storeLimit = Math.max(0, Math.min(STORE_LIMIT, Math.floor((soft - RESERVED_FDS) / places) - this.#roots().length));
    this.#backingLimit = 2 * soft;
  }

  #roots(): number[] {
    const { lowers, dataLowers, upper, work } = this.layers;
    return [...lowers, ...dataLowers, upper, work].flatMap((layer) => (layer === undefined ? [] : [layer.rootFd]));
  }

  get stored(): ReadonlyMap<bigint, number> {
    return this.#store;
  }

  /** Call it once. @returns 0, or the negative errno */
  mount(): number {
    return this.#mounted === undefined ? this.claim(() => this.#mount()) : -Errno.EBUSY;
  }

  #mount(): number {
    try {
      this.#mounted = this.#mountAt(this.#place);
      native.close(this.#place);
      this.#place = -1;
      return 0;
    } catch (error) {
      if (error instanceof FsError) return -error.errno;
      throw error;
    }
  }

  /** @throws FsError */
  #mountAt(place: number): MountPoint {
    const plan = this.#plan;
    const { fuseFd } = this;
    if (plan.caller === undefined) return mountOn(fuseFd, { ...plan, source: toBytes(plan.source) }, place);
    return { fuseFd, mountId: undefined, ...mountForCaller(fuseFd, { ...plan, caller: plan.caller }, place) };
  }

  async unmount(lazy: boolean): Promise<number> {
    if (this.#mounted === undefined) return -Errno.EINVAL;
    // One at a time: each occupies a thread of the pool.
    if (this.#unmounting) return -Errno.EBUSY;
    // The mount's number may belong to another mount by now.
    if (this.connectionOver && this.#mounted.mountId === undefined && this.#mounted.place === undefined) return -Errno.EINVAL;
    this.#unmounting = true;
    const errno = await unmountDevice(this.#mounted, lazy);
    this.#unmounting = false;
    return -errno;
  }

  abort(): number {
    // The connection's name may belong to another mount by now.
    if (this.connectionOver) return -Errno.ENOTCONN;
    if (this.#mounted === undefined) return -Errno.EOPNOTSUPP;
    if (abortDevice(this.#mounted)) return 0;
    // Nothing but the end of its holders ends it: the server is about to end, and no other one follows.
    this.#givenUp = true;
    return -Errno.EOPNOTSUPP;
  }

  get mounted(): boolean {
    return this.#mounted !== undefined;
  }

  /** The mount was unmounted or aborted, or ends with its holders. */
  get connectionOver(): boolean {
    return !this.#holds || this.#givenUp || (this.#mounted !== undefined && (native.pollNow(this.fuseFd, 0, 0) & POLL.ERR) !== 0);
  }

  /** @returns a backing id, or the negative errno. The caller keeps the descriptor. */
  register(fd: number): number {
    if (!this.#holds) return -Errno.ENOTCONN;
    if (this.#backingIds.size >= this.#backingLimit) return -Errno.ENFILE;
    const id = registerChecked(this.fuseFd, fd, { clones: this.#clones, changeable: this.#changeable, caller: this.#plan.caller });
    if (id > 0) this.#backingIds.add(id);
    return id;
  }

  /** @returns a descriptor, or the negative errno. The caller keeps `fd`. */
  openOwn(fd: number, name: string): number {
    if (!this.#holds) return -Errno.ENOTCONN;
    const { caller } = this.#plan;
    if (caller === undefined || this.#owned === undefined) return -Errno.EPERM;
    return openOwn(fd, name, { places: this.#owned, caller });
  }

  closeBacking(id: number): void {
    if (this.#holds && this.#backingIds.delete(id)) native.backingClose(this.fuseFd, id);
  }

  /** Takes the descriptor over in any case. @returns false if there is no room, or if it belongs neither to a layer nor to memory */
  store(key: bigint, fd: number): boolean {
    const fits = this.#store.has(key) || this.#store.size < this.storeLimit;
    const ofLayer = isOf(fd, this.#clones);
    if (!this.#holds || !fits || !(ofLayer || this.#memory.admits(key, fd))) {
      discard(fd);
      return false;
    }
    if (ofLayer) this.#memory.gone(key);
    const before = this.#store.get(key);
    if (before !== undefined) discard(before);
    this.#store.set(key, fd);
    return true;
  }

  drop(key: bigint): void {
    const fd = this.#store.get(key);
    if (fd === undefined) return;
    this.#store.delete(key);
    this.#memory.gone(key);
    discard(fd);
  }

  /**
   * Once the connection is over, releases everything, so that the layers' file systems can be unmounted while the server still cleans up.
   * @returns 0, or the negative errno if the mount still needs it
   */
  async letGo(): Promise<number> {
    if (!this.connectionOver) return -Errno.EBUSY;
    this.#closeAll();
    await discarded();
    return 0;
  }

  /** Removes the mount and releases everything. */
  async end(): Promise<void> {
    if (this.#mounted !== undefined) {
      // Callers with open files get ENOTCONN: nobody serves them any more. Closing the device is not enough, since a hanging server has it
      // open too. Without sysfs, the abort needs the mount at its mount point.
      if (!this.connectionOver) abortDevice(this.#mounted);
      // An aborted connection leaves its mount behind.
      await unmountDevice(this.#mounted, true);
    }
    this.#closeAll();
  }

  #closeAll(): void {
    if (!this.#holds) return;
    for (const key of [...this.#store.keys()]) this.drop(key);
    this.#holds = false;
    const { errorWitness = -1 } = this.layers;
    for (const fd of [...this.#roots(), this.fuseFd, this.journalFd, errorWitness, this.#place, this.#mounted?.place?.above ?? -1])
      if (fd >= 0) native.close(fd);
    this.#release();
  }
}

/** The descriptors of the caller have served their purpose once the layers are cloned, and would keep the caller's mounts busy. */
function takeMountpoint({ mountpoint, lowers, above, upper, work }: GivenPlaces): number {
  const own = native.dupfd(mountpoint);
  if (own < 0) throw new FsError(-own, "no descriptor for the mount point: raise the limit of open files");
  for (const fd of [mountpoint, ...lowers, above, upper, work]) if (fd >= 0) discard(fd);
  return own;
}

/** It has its final size from the start, so that no server can fill more memory. Untouched pages take none. */
function makeJournal(): number {
  const fd = native.memoryFile("sluice-journal");
  const status = fd < 0 ? fd : native.ftruncate(fd, JOURNAL_LIMIT_BYTES);
  if (status < 0) {
    if (fd >= 0) native.close(fd);
    throw new FsError(-status, "cannot create the journal's memory: free memory");
  }
  native.addSeals(fd, SEAL.GROW | SEAL.SHRINK | SEAL.SEAL);
  return fd;
}
