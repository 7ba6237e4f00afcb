/** What an overlay is made of. Layers come as descriptors of private mount clones: see services/mount. */
import type { FallbackReason, Flow, Gate } from "./gate/gate.js";

export interface LayerSpec {
  /** As the user gave it, for people. */
  path: string;
  /** O_PATH directory descriptor of the layer's root, in a private mount clone (lowers: read-only, noatime). Owned by the overlay. */
  rootFd: number;
}

export interface OverlayConfig {
  /** Top first. */
  lowers: readonly LayerSpec[];
  upper: LayerSpec | undefined;
  /** The scratch directory's own clone must be the upper's: it is reached as a directory beside it in the same mount. */
  work: LayerSpec | undefined;
  gate: Gate;
  events: OverlayEvents;
  /** Marks in user.overlay.* instead of trusted.overlay.*. */
  userXattr: boolean;
  /** Write redirects on a directory rename; off answers EXDEV. */
  redirectDir: boolean;
  /** No fsync at copy-up. */
  volatile: boolean;
  /** How long the kernel may keep names and attributes, in ms. The layers are ours alone. */
  entryTtlMs: number;
  attrTtlMs: number;
  negativeTtlMs: number;
  /** Longest time of one copy-up step on the event loop; larger ones go to the pool. */
  inlineCopyBytes: number;
  /** Bound of the directory descriptor cache. */
  maxDirectoryFds: number;
}

/** Libraries emit, services log and count. Every method returns at once and never throws. */
export interface OverlayEvents {
  copyUp(event: { path: string; bytes: number; durationMs: number; status: number }): void;
  fallback(event: { layer: string; reason: FallbackReason }): void;
  mediated(direction: "read" | "write", bytes: number): void;
  openFiles(mode: Flow, delta: 1 | -1): void;
  /** Something that should not happen and was survived. */
  anomaly(message: string, detail: Record<string, unknown>): void;
}

/** What an overlay tells of itself for `sluice status`. */
export interface LayerStatus {
  name: string;
  path: string;
  fileSystem: string;
  /** Of the layer's file system: 0 where it lies on a disk, 1 on an overlay, ... undefined where it was not found out. */
  stackDepth: number | undefined;
  passthrough: { eligible: true } | { eligible: false; reason: string };
}
export interface OverlayStatus {
  layers: readonly LayerStatus[];
  nodes: number;
  openFiles: number;
  openDirectories: number;
  directoryFds: number;
  copyUps: number;
}
