/** The journal and the store of descriptors by which an overlay outlives its process. */
import type { Journal } from "@sluice/journal";

/** Descriptors that outlive the process, by key. */
export interface FdStore {
  /** Stores a copy of `fd`. It replaces the descriptor that had the key before. */
  store(key: bigint, fd: number): void;
  drop(key: bigint): void;
}

/** `stored`: descriptors that an earlier process stored. The overlay owns them. */
export interface Survival extends FdStore {
  readonly journal: Journal;
  readonly stored: Map<bigint, number>;
}
