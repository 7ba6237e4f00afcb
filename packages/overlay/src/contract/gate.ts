/**
 * The port from the overlay to policy. No policy word lives below this file: the overlay says what is about to happen,
 * the gate says whether and how, and is told what became of it.
 */
import type { Attr, CallContext, OpenOut } from "@sluice/vfs";

export type Access = "read" | "write" | "execute" | "create" | "delete" | "link" | "rename" | "truncate" | "metadata";
export type Operation = "open" | "create" | "tmpfile" | "mknod" | "mkdir" | "symlink" | "link" | "rename" | "unlink" | "rmdir" | "setattr";

export type IntentAttr = Readonly<Pick<Attr, "mode" | "uid" | "gid" | "sizeExact">>;

/** An access that is about to happen, before any side effect. */
export interface Intent {
  operation: Operation;
  accesses: readonly Access[];
  /** Every name the object is known by (or will get), below the mount, no leading slash, as byte strings. Never empty. */
  paths: readonly string[];
  /** "upper", "lower0", ...; for a creation the layer it will lie in. */
  layer: string;
  /** Attributes now; for a creation the ones it will have, as far as they are known. */
  attr: IntentAttr;
  openFlags: number;
  /** Reads an extended attribute of the object, by its name as a byte string: undefined if it has none, a negative errno if it cannot be read. */
  readXattr(name: string): Uint8Array | undefined | number;
  /** Undefined for anything but a regular file, and for a file that is about to be made. */
  content: Content | undefined;
  /** Nothing like it is about to happen: a rename or a link compares what governs its two ends. */
  compares?: true;
  /** The kernel repeats an open of this very object that was judged before: see `Gate.comesAgain`. */
  repeats?: boolean;
}

/** The bytes of a regular file, as they are when they are looked at. */
export interface Content {
  /** A caller has it open for writing through this mount: bytes that are read now may be gone the next moment. */
  readonly beingWritten: boolean;
  /** A caller had it open so that it could be mapped for writing. Such a mapping outlives the open, and nobody tells of it. */
  readonly mayBeMapped: boolean;
  /** st_ino in the mount. */
  readonly ino: bigint;
  /** Nobody has it mapped for writing, as a search has shown that began after `beingWritten` was false. */
  foundUnmapped(): void;
  /** Calls `use` with a descriptor of the bytes, open for reading until it returns. Gives its result, or a negative errno. */
  withDescriptor<T>(use: (fd: number) => T): T | number;
}

/** One transfer or change of size by an open file that is watched. */
export interface WatchedIo {
  kind: "read" | "write" | "truncate" | "allocate";
  /** Its first byte; an append begins at the present end of the file. */
  offset: bigint;
  /** Bytes; of a truncation, or of space that is given back, 0. */
  length: number;
  /** It gives space back, wherever that lies: no limit of the size is for it. */
  givesBack?: boolean;
}

/** Duties that go with each read and write of one open file. */
export interface IoWatch {
  /**
   * Called before a transfer. Gives how many of the bytes may go at once (a truncation: 0), or the negative errno. Gives a promise if
   * the transfer has to wait; an interruption of the caller ends it with -EINTR.
   */
  before(io: WatchedIo, call: CallContext): number | Promise<number>;
  /** The open may neither make the file longer than this nor reserve space behind it. Absent: there is no limit. */
  readonly maxSizeBytes?: number | undefined;
  /** Called after it, with the number of bytes or the negative errno. */
  after(io: WatchedIo, result: number, call: CallContext): void;
}

/** The gate's answer. Opaque to the overlay but for these. */
export interface Ruling {
  readonly effect: "grant" | "mediate" | "deny";
  /** Positive errno of a denial. */
  readonly errno: number;
  /** The open's bytes must pass the daemon, which does this about them. With "mediate" only. */
  readonly watch?: ((opened: OpenRecord) => IoWatch) | undefined;
}

/** How I/O flows, in two words for users. The mode that the kernel is told is in open/plan-open.ts. */
export type Flow = "passthrough" | "mediated";
/** Reasons to mediate a granted open; a closed set, since it labels a metric. */
export type FallbackReason =
  | "not-negotiated"
  | "layer-ineligible"
  | "stack-depth"
  | "permission"
  | "invalid"
  | "file-table"
  | "memory"
  | "io"
  | "inode-cached"
  | "other-file"
  | "observed"
  | "coherent-readers"
  | "not-regular";

/** The outcome of a ruling: one for each open that was let through. */
export interface OpenRecord {
  handle: number;
  nodeId: number;
  path: string;
  layer: string;
  mode: Flow;
  /** As the kernel was told: with "passthrough-direct" reads and writes come to us, and mappings pass us by. */
  io: OpenOut["mode"];
  write: boolean;
  fallback: FallbackReason | undefined;
}

export interface Gate {
  /** Does the policy in force govern this access beside opens? A cheap test: the overlay asks nothing where it says no. */
  governs(access: Access): boolean;
  /** False if there is no policy at all: then the overlay asks nothing, and every ruling is a grant. */
  readonly active: boolean;
  /** Does the policy in force hide names? A cheap test: the overlay compares no name if it does not. */
  readonly hidesNames: boolean;
  /** Is a name of a directory hidden, or the directory itself? The directory as a path below the mount. */
  hides(directory: string, name: string): boolean;
  /** Counts the changes of the policy in force: a ruling of another epoch is worth nothing. */
  readonly epoch: number;
  /**
   * Does a ruling that was waited for still hold, now that the same access is described again by `now`? False where a fact
   * that the policy looked at differs. Asks nobody. The caller has compared the paths, the owner and the mode.
   */
  holds(call: CallContext, ruling: Ruling, now: Intent): boolean;
  /** Would an access under `other` be free of something that `ruling` imposes: a stricter effect, an obligation? */
  isLaxer(other: Ruling, ruling: Ruling): boolean;
  /**
   * A ruling that comes at once leaves `intent` to the caller, who uses it again; its `paths` alone are left as they are.
   * Never throws: a failure to decide is a ruling by the outage mode. Rejects only if `call.signal` aborted it.
   */
  authorize(call: CallContext, intent: Intent): Ruling | Promise<Ruling>;
  /** `record` is the caller's again afterwards; the one of a watch stays. */
  opened(call: CallContext, ruling: Ruling, record: OpenRecord): void;
  /** An open with this ruling was not made: the kernel looks the file up again, and opens it by another nodeId. */
  comesAgain?(call: CallContext, ruling: Ruling): void;
  closed(handle: number): void;
  /** State of an open file that a process that takes over needs, as a byte string; undefined if it needs none. */
  persist?(handle: number): string | undefined;
  /** Restores an open file of an earlier process from the state that `persist` gave there. Gives the duties of its transfers. */
  restored?(record: OpenRecord, persisted: string): IoWatch | undefined;
  /** Extended attributes user.sluice.decision and user.sluice.revision, for people: those of the newest open; undefined if the node is not open. */
  describe(nodeId: number, what: "decision" | "revision"): string | undefined;
}
