/** The configuration of an overlay, its events and its status. Layers come as descriptors of private mount clones: see services/mount. */
import type { JournalMemory } from "@sluice/journal";
import type { Attr, ByteName, OwnerAccess, Status } from "@sluice/vfs";
import type { FallbackReason, Flow, Gate } from "./gate.js";
import type { Survival } from "./survival.js";

export interface LayerSpec {
  /** As the user gave it, for people. */
  path: string;
  /** O_PATH directory descriptor of the layer's root, in a private mount clone (lowers: read-only, noatime). Owned by the overlay. */
  rootFd: number;
}

export interface OverlayConfig {
  /** Top first. */
  lowers: readonly LayerSpec[];
  /** Only searched for the data of metadata-only files, in this order. */
  dataLowers: readonly LayerSpec[];
  upper: LayerSpec | undefined;
  /** The scratch directory's own clone must be the upper's: it is reached as a directory beside it in the same mount. */
  work: LayerSpec | undefined;
  gate: Gate;
  events: OverlayEvents;
  /** Marks in user.overlay.* instead of trusted.overlay.*. */
  userXattr: boolean;
  /**
   * Redirects: made on a directory's rename and followed; only followed (such a rename answers EXDEV); neither (what is
   * redirected answers EPERM).
   */
  redirectDir: "on" | "follow" | "nofollow";
  /** Follow metadata-only copies, and make them where only metadata changes; else they answer EPERM, as overlayfs does. */
  metacopy: boolean;
  /**
   * "off" is refused where the layers lie on several file systems: one mount has one st_dev, so only the index of the file
   * system in the inode numbers tells equal numbers apart. Elsewhere the numbers are the layers' own in any case.
   */
  xino: "on" | "off" | "auto";
  /** Origins carry their file system's UUID; false ("uuid=off"): none is written, and only those without one are followed. */
  originUuid: boolean;
  /** Read whiteouts and opaque marks in the forms of fuse-overlayfs and OCI layers, too. Only the kernel's are written. */
  foreignMarks: boolean;
  /** A merged directory's links are counted by reading it, as fuse-overlayfs counts them; else it has one, as with overlayfs. */
  countsLinks: boolean;
  /**
   * Lower files with several names stay one file when one of them is changed, in the kernel's format (workdir/index). "auto":
   * where the layers' file systems have file handles and the upper layer belongs to the topmost lower one, else not.
   */
  index: "on" | "off" | "auto";
  /** No fsync at copy-up. */
  volatile: boolean;
  /** A descriptor whose fsync answers with the first writeback error of the upper layer's file system since the mount. Owned by the overlay. */
  errorWitness: number | undefined;
  /** Never passes a lower file through if it can be copied up, so that its readers see later writes. */
  coherentReaders: boolean;
  /** Each open opens the file itself, with the rights that the server has to it at that moment. By default a registration is reused. */
  opensAnew?: boolean;
  /** Others change lower layers, so each look-up searches them again. */
  sharedLower: boolean;
  /** So many of the topmost lower layers were upper layers before. Policies know them as "upper", too. */
  formerUppers: number;
  /** How long the kernel may cache names and attributes, in ms. The layers are ours alone, but for `sharedLower`. */
  entryTtlMs: number;
  attrTtlMs: number;
  negativeTtlMs: number;
  /** Longest time of one copy-up step on the event loop; larger ones go to the pool. */
  inlineCopyBytes: number;
  /** Bound of the directory descriptor cache. */
  maxDirectoryFds: number;
  /** The journal and the descriptors that outlive this process, with the state that an earlier one left there. */
  survival?: Survival | undefined;
  /** Undefined if nobody needs to know what the upper layer replaces. There is one lower layer then. */
  baseRecord?: BaseRecord | undefined;
  /** So many nodes stay objects, however long nobody asks for them; of all others files become records. */
  maxIdleObjects: number;
  /** Memory for these records if there is no journal, JOURNAL_BYTES of zeros; undefined if there is none. Called once at most. */
  recordMemory: () => JournalMemory | undefined;
  /** For a server without privilege. It is of the process: others have none in the same one. */
  ownerAccess?: OwnerAccess | undefined;
  /** Bound of the registrations that outlive the last close of their file, a descriptor each. */
  maxCachedBackings: number;
}

/**
 * Told of each lower object before an upper one, or a whiteout, takes its place. `path` leads to it in the lower layer. A failure (a
 * positive errno) stops nothing: it is an anomaly.
 */
export interface BaseRecord {
  note(path: ByteName, attr: Attr, target?: string): number;
  /** A regular file whose bytes may be needed: `source` is open for reading, and `attr` is older than the copy. */
  noteFile(path: ByteName, attr: Attr, source: number): Status;
  /** A name of a file with several names, which is changed by another one: nobody may have been asked about this one. */
  noteShared(path: ByteName): number;
}

/** Libraries emit, services log and count. Every method returns at once and never throws. */
export interface OverlayEvents {
  copyUp(event: { path: string; bytes: number; durationMs: number; status: number }): void;
  fallback(event: { layer: string; reason: FallbackReason }): void;
  mediated(direction: "read" | "write", bytes: number): void;
  openFiles(mode: Flow, delta: 1 | -1): void;
  /** Called after some dozen nodes were made or forgotten. Each leaves something behind, so the receiver may look after memory. */
  grew(): void;
  /** Something that should not happen and was survived. */
  anomaly(message: string, detail: Record<string, unknown>): void;
}

/** The status of an overlay, for `sluice status`. */
export interface LayerStatus {
  name: string;
  path: string;
  fileSystem: string;
  /** Of the layer's private mount, as mount(8) names them: "ro", "nosuid", "noatime", ... */
  flags: readonly string[];
  /** Of the layer's file system: 0 on a disk, 1 on an overlay, ...; undefined if unknown. */
  stackDepth: number | undefined;
  /** `untried`: there was no regular file yet to find out with. */
  passthrough: { eligible: true } | { eligible: false; untried?: true; reason: string };
}
export interface OverlayStatus {
  layers: readonly LayerStatus[];
  nodes: number;
  /** The number of them that are objects, aliases included; the others are records. */
  nodeObjects: number;
  openFiles: number;
  openDirectories: number;
  directoryFds: number;
  copyUps: number;
  /** Opens for writing that got ESTALE: each came by a descriptor of a passthrough reader whose lower file was copied up. */
  staleReopens: number;
  /** File data being copied now. */
  copyUpsUnderWay: readonly { path: string; sizeBytes: number; copiedBytes: number; elapsedMs: number }[];
  /** Do hard links survive copy-up? Why not, where "auto" could not have it. */
  index: { on: true } | { on: false; reason: string };
}
