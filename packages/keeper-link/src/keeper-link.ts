/**
 * What a server has of its keeper: descriptors that it was given, and the few requests it may make. A mount without a
 * keeper has the same face, made in its own process (`openInProcess`); there nothing survives, and what is stored is lost.
 *
 * For whoever restores: `restored` tells that a former server served this connection; then `connection.negotiated` is
 * what that one agreed with the kernel, `stored` holds its descriptors, and the journal its state. No INIT comes.
 */
import type { KernelConnection } from "@sluice/vfs";

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
  /** On a volatile mount: a descriptor whose fsync tells of writeback errors (acts/error-witness.ts), where there can be one. */
  errorWitness: number | undefined;
}

export interface KeeperInfo {
  readonly keeperPid: number;
  /** Servers before this one that died (an upgrade is not a death). */
  readonly restarts: number;
  /** How and when the last of them died. */
  readonly lastDeath: string | undefined;
}

export interface KeeperLink {
  /** Undefined where there is no keeper: then `store` and `drop` do nothing, and `journalFd` is undefined. */
  readonly keeper: KeeperInfo | undefined;
  readonly restored: boolean;
  /** The layers; the descriptors are the server's. */
  readonly layers: OpenLayers;
  /** A memory file that outlives the server, all zero at first, of JOURNAL_LIMIT_BYTES: it neither grows nor shrinks. */
  readonly journalFd: number | undefined;
  /** What former servers stored, by key. The descriptors are the server's: it closes or drops those it has no use for. */
  readonly stored: ReadonlyMap<bigint, number>;
  /**
   * The connection: mounted now, where no former server had it. To be called once.
   * @throws FsError where it cannot be mounted.
   */
  connect(): KernelConnection;
  /**
   * Keeps a duplicate of `fd` under `key`, 64 bits, until it is dropped; replaces what is there. Does not wait: when it
   * returns, the keeper has it, whatever becomes of this process. Of a layer, or a memory file sealed against every change;
   * what is neither is dropped.
   * @returns 0, or the negative errno: -ENFILE where the store is full, -EPIPE where the keeper is gone.
   */
  store(key: bigint, fd: number): number;
  drop(key: bigint): void;
  /** What a later server needs to go on with the connection: at most MAX_INIT_BYTES. */
  storeInit(negotiated: Uint8Array): void;
  /** Requests are served from now on. */
  ready(): void;
  /** `drain` is called when the keeper wants to start another server: finish what is in flight, then `handOver` and exit with 0. */
  onDrain(drain: () => void): void;
  handOver(): void;
  /**
   * Lets go of everything that holds the layers' file systems, the keeper's part too: to be called when the connection is over and
   * the server has closed its own descriptors. Nothing of the layers is held any more when it returns.
   */
  letGo(): void;
  /** `stop` is called when the keeper wants the mount to end, by a keeper that cannot send a signal. */
  onStop(stop: () => void): void;
  close(): void;
}
