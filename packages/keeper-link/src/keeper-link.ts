/**
 * The server's view of its keeper: the descriptors that it got, and the few requests that it may make. A mount without a keeper has the
 * same interface in its own process (`openInProcess`); there nothing survives, and stored descriptors are lost.
 *
 * For a restore: `restored` tells that a former server served this connection. Then `connection.negotiated` is its agreement with the
 * kernel, `stored` has its descriptors, the journal has its state, and the kernel sends no INIT.
 */
import type { KernelConnection, OwnerAccess } from "@sluice/vfs";

/** A layer's root, opened beneath a private clone of its mount. */
export interface OpenLayer {
  path: string;
  rootFd: number;
}

export interface OpenLayers {
  lowers: OpenLayer[];
  dataLowers: OpenLayer[];
  upper: OpenLayer | undefined;
  work: OpenLayer | undefined;
  /** On a volatile mount: a descriptor whose fsync reports writeback errors (privileged/error-witness.ts), if there is one. */
  errorWitness: number | undefined;
}

/** An upper layer and a work directory that may take the place of the present ones: see `KeeperLink.openNext`. */
export interface NextLayers {
  readonly upper: OpenLayer;
  readonly work: OpenLayer;
  /** Nothing can write in the present upper layer from then on. 0, or the negative errno: then nothing has changed. */
  take(): Promise<number>;
  /** They are not taken. The server closes its descriptors. */
  giveUp(): void;
}

/** Of directories beside the upper layer. */
export interface NextNames {
  /** Has an upper layer and a work directory of the same names as the present ones, which lie beside it. */
  readonly next: string;
  /** Its name from the moment when they are in use. */
  readonly taken: string;
}

export interface KeeperInfo {
  readonly keeperPid: number;
  /** Servers before this one that died (an upgrade is not a death). */
  readonly restarts: number;
  /** How and when the last of them died. */
  readonly lastDeath: string | undefined;
}

export interface KeeperLink {
  /** Undefined without a keeper: then `store` and `drop` do nothing, and `journalFd` is undefined. */
  readonly keeper: KeeperInfo | undefined;
  readonly restored: boolean;
  /** The layers; the server owns the descriptors. */
  readonly layers: OpenLayers;
  /** A memory file that outlives the server, all zero at first, of JOURNAL_LIMIT_BYTES: it neither grows nor shrinks. */
  readonly journalFd: number | undefined;
  /** Descriptors that former servers stored, by key. The server owns them, and closes or drops those that it does not need. */
  readonly stored: ReadonlyMap<bigint, number>;
  /**
   * Returns the connection, and mounts it unless a former server did. Call it once.
   * @throws FsError if it cannot be mounted
   */
  connect(): KernelConnection;
  /**
   * Stores a duplicate of `fd` under `key`, 64 bits, until it is dropped or replaced. It does not wait: when it returns, the keeper has the
   * descriptor, even if this process dies. The keeper drops a descriptor that is neither of a layer nor a fully sealed memory file.
   * @returns 0, or the negative errno: -ENFILE if the store is full, -EPIPE if the keeper is gone
   */
  store(key: bigint, fd: number): number;
  drop(key: bigint): void;
  /** Stores the result of INIT, which a later server needs: at most MAX_INIT_BYTES. */
  storeInit(negotiated: Uint8Array): void;
  /** Requests are served from now on. */
  ready(): void;
  /** The keeper calls `drain` to start another server: finish the requests in flight, then call `handOver` and exit with 0. */
  onDrain(drain: () => void): void;
  handOver(): void;
  /** By a keeper, for a server without privilege. */
  readonly ownerAccess?: OwnerAccess;
  /** Opens and claims another upper layer and work directory. Undefined with a keeper. @throws LayerError */
  readonly openNext?: (names: NextNames) => NextLayers;
  /**
   * Releases everything that holds the layers' file systems, also in the keeper. Call it when the connection is over and the server has
   * closed its own descriptors. When it returns, nothing holds the layers any more.
   */
  letGo(): void;
  /** A keeper that cannot send a signal calls `stop` to end the mount. */
  onStop(stop: () => void): void;
  /** Closes the link and all its descriptors, for a server that has used none of them. */
  abandon(): void;
  close(): void;
}
