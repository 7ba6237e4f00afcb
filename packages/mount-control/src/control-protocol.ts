/**
 * The protocol of a control socket: one JSON request on a line, then JSON lines in reply: items, and finally `done` or `error`. Sizes are
 * bounded on both sides.
 */
import {
  type Access,
  type CacheScope,
  type CacheStatus,
  type DeciderStatus,
  type DecisionSource,
  type Effect,
  type Operation,
  type PersonAnswer,
} from "@sluice/decision-api";
import type { FallbackReason, Flow, OverlayStatus, Passing } from "@sluice/overlay";
import type { EngineKind, IdlePollingInUse, TransportInUse } from "@sluice/vfs";

/** Names are byte strings (one character, one byte). */
export interface ExplainRequest {
  method: "explain";
  /** Below the mount point. */
  path: string;
  accesses: Access[];
  uid: number;
  gid: number;
  groups: number[];
  executable: string | undefined;
  cgroup: string | undefined;
}
export type ControlRequest =
  | ExplainRequest
  | { method: "status" }
  | { method: "activity" }
  /** Answered with ProfileItems, when the time is over. */
  | { method: "profile"; durationMs: number }
  | { method: "grants"; watch: boolean }
  /** Answered with LogItems: the newest ones; with `watch` then those of each second. */
  | { method: "log"; watch: boolean }
  | { method: "layers" }
  /** Answered with AskItems: the list; with `watch` those that wait now, and then each change. */
  | { method: "asks"; watch: boolean }
  /** Answered with nothing if the answer is taken. */
  | { method: "answer"; askId: string; answer: PersonAnswer; way: "command" | "terminal" }
  /** Answered with Unmounted or Busy. With `force` the users are cut off. */
  | { method: "unmount"; force: boolean }
  /** Answered when the mount has ended and nothing holds its layers any more. For callers that unmount by themselves. */
  | { method: "freed" }
  /** Answered with one HoldItem. If it says "yes", no request is read until the caller leaves, and for MAX_HOLD_MS at most. */
  | { method: "hold" }
  /**
   * Answered with one RestackItem. `next` is a directory beside the upper layer. In it are an empty upper layer, a work directory and a record
   * of the base, of the same names as the present ones. If the answer is "yes", the mount uses these, the present ones have become a read-only
   * layer below, which nothing changes any more, and the name of the directory is `taken`. Otherwise nothing has changed. `formerPath` is
   * where the upper layer is to lie then.
   */
  | { method: "restack"; next: string; taken: string; formerPath: string };
/** "waiting": requests under way are not answered in time, so nothing is held. "writers": files are open for writing. */
export interface HoldItem {
  held: "yes" | "waiting" | "writers";
}
/** "waiting" and "writers" as above. "unfit": this mount cannot do it as it is now. */
export interface RestackItem {
  restacked: "yes" | "waiting" | "writers" | "unfit";
  /** Of "unfit", for people; else "". */
  reason: string;
}
/** One function of a profile as it was called, in the order of a walk from the root; with its own time, without the functions it called. */
export interface ProfileFrame {
  id: number;
  /** Of its caller; null: the root. */
  parent: number | null;
  name: string;
  /** Of its module; empty for V8's own. */
  url: string;
  line: number;
  selfMs: number;
}
/** A part of a profile: an answer has several, since a line of an answer is bounded. */
export interface ProfileItem {
  frames: ProfileFrame[];
}
export interface Unmounted {
  unmounted: string;
}
/** The mount goes on. */
export interface Busy {
  /** The reason: "EBUSY" if it is in use. */
  errno: string;
  /** "major:minor", for finding its users. */
  device: string;
}
/** For the keeper's own socket. */
export type KeeperRequest = { method: "upgrade"; file: string; argv: readonly string[] };
export type ControlLine = { item: unknown } | { done: true } | { error: string };

/** Callers of the mount wait so long at most. */
export const MAX_HOLD_MS = 20_000;

/** The longest profile. */
export const MAX_PROFILE_MS = 300_000;

/** Room for a path of any length. */
export const MAX_REQUEST_BYTES = 64 << 10;
/** Of one line of an answer. */
export const MAX_LINE_BYTES = 4 << 20;

/** The option --on-revoke. */
export type OnRevoke = "report" | "sigterm" | "sigkill";

/** The answer of the policy in force to an open that it would not grant any more. */
export interface Revoked {
  effect: "mediate" | "deny";
  rule: string | undefined;
  revision: string | undefined;
  reason: string;
}

/** Revoked opens. */
export interface RevokedCounts {
  /** They still reach the file. */
  passing: number;
  /** They can transfer no byte, by a descriptor or a mapping. */
  refused: number;
}

/** One series of durations. */
export interface DurationCounts {
  boundsMs: readonly number[];
  /** One more than the bounds. */
  counts: number[];
  sumMs: number;
  count: number;
}

export interface GrantItem {
  /** "mapped": a mapping whose descriptor is closed. "revoked", "restored": by a change of policy, while it is open. */
  change: "open" | "opened" | "closed" | "mapped" | "revoked" | "restored";
  handle: number;
  nodeId: number;
  path: string;
  layer: string;
  mode: string;
  /** The I/O mode in the kernel: passthrough, passthrough-direct (mediated, but mappings bypass the daemon), cached, direct. */
  io: string;
  write: boolean;
  fallback: string | null;
  pid: number;
  uid: number;
  decision: string | null;
  revision: string | null;
  rule: string | null;
  /** ISO 8601. */
  since: string | null;
  /**
   * The answer of the policy in force; null if it is unchanged. `passing`: how the open still reaches the file; null if it is refused.
   */
  revoked: (Revoked & { passing: Passing | null }) | null;
}

/** Equal decisions of one second, as the mount enforced them. */
export interface LogItem {
  /** ISO 8601: the first of them. */
  time: string;
  mount: string;
  effect: Effect;
  count: number;
  rule: string;
  /** Null, as everything below, for decisions beyond the rate at which the server names them. */
  path: string | null;
  operation: Operation | null;
  accesses: readonly Access[] | null;
  uid: number | null;
  /** Of the newest caller, as the mount's server sees it. */
  pid: number | null;
  /** Null if it was not read, too. */
  program: string | null;
  /** Of a denial. */
  errno: string | null;
  reason: string | null;
  source: DecisionSource | null;
  decision: string | null;
}

/** A question for a person, or an answer that holds. */
export interface AskItem {
  /** "asked", "left": while a caller waits, or a question is put on the list. */
  change: "listed" | "asked" | "left";
  askId: string;
  mount: string;
  paths: string[];
  accesses: readonly Access[];
  operation: string;
  uid: number;
  /** Of the first caller, as the mount's server sees it. */
  pid: number;
  /** Null: not known. */
  program: string | null;
  rule: string;
  /** Callers that wait. */
  waiting: number;
  /** ISO 8601. */
  since: string;
  /** When the wait ends, or the question leaves the list; null for an answer that holds. */
  until: string | null;
  /** Null: it has none yet. */
  answer: PersonAnswer | null;
  answeredBy: string | null;
}

/** The answer to `explain`. */
export interface Explanation {
  path: string;
  /** All names of the file that the mount knows: the strictest answer holds. */
  names: string[];
  accesses: readonly Access[];
  subject: { uid: number; gid: number; groups: number[]; executable: string | null; cgroup: string | null };
  missing: { name: string; reason: string }[];
  effect: Effect;
  /** The errno of a denial. */
  errno: string | null;
  rule: string;
  reason: string;
  /** The policy that decided. */
  backend: string;
  revision: RevisionText;
  decision: string;
  source: DecisionSource;
  /** The other questions that the answer holds for; null: none. */
  scope: (Omit<CacheScope, "subtree" | "ttlMs"> & { subtree: string | null; ttlMs: number | null }) | null;
  obligations: { name: string; value: string }[];
  layer: string;
  /** Differs from `layer` if only metadata was copied up. */
  dataLayer: string;
  /** Null if it is denied, or not a regular file. */
  opened: { flow: Flow; because: FallbackReason | null; copiesUp: boolean } | null;
}

export interface PolicyStatus {
  policyId: string;
  revision: { sequence: string; digest: string };
  unconditionalGrant: boolean;
  governs: string[];
  /** Globs of names that do not exist for callers. */
  hides: string[];
  /** Some rule asks a person. An older server does not tell. */
  asks?: boolean;
  looksAt: string[];
  /** The error in the newest edit of the policy; the revision above stays in force. */
  refusedEdit: string | null;
  /** "3 rules, default grant"; null if the service does not tell. */
  summary: string | null;
}

export interface RevisionText {
  sequence: string;
  digest: string;
}

export interface MountStatus {
  name: string;
  mountpoint: string;
  version: string;
  pid: number;
  /** Null if the server holds the mount itself. `restarts`: servers before this one that died. `restoredInMs`: null for the first server. */
  keeper: { pid: number; restarts: number; lastDeath: string | null; restoredInMs: number | null } | null;
  uptimeMs: number;
  state: "serving" | "draining";
  engine: {
    name: EngineKind["name"];
    /** The capabilities that it lacks, with the reason. */
    limits: Record<string, string>;
    protocol: string;
    passthrough: boolean;
    maxStackDepth: number;
    flags: readonly string[];
    transport: TransportInUse;
    idlePolling: IdlePollingInUse;
    inFlight: number;
  };
  overlay: OverlayStatus;
  upper: string | null;
  lowers: readonly string[];
  userXattr: boolean;
  decider: Omit<DeciderStatus, "revision" | "split" | "cache" | "replicas"> & {
    /** `revision` is null while the mount is not connected to it, and `why` the reason. */
    replicas: { address: string; state: string; inFlight: number; revision: RevisionText | null; why?: string | undefined }[];
    revision: RevisionText | null;
    /** Different policies that decision services hold at once; empty if they agree. */
    split: RevisionText[];
    cache: CacheStatus | null;
    onOutage: string;
    /** Why processes of an unprivileged user may signal the embedded decision service; null if only root may. */
    unprotected: string | null;
  };
  policy: PolicyStatus | null;
  /** By "effect/source". */
  decisions: Record<string, number>;
  /** An older server has no such field. */
  denialsLastMinute?: number;
  fallbacks: Record<string, number>;
  openFilesByMode: Record<string, number>;
  mediatedBytes: Record<string, number>;
  grants: number;
  /** Opens that wait for a person, at most `most`, and those that were denied since so many waited. An older server has no such field. */
  asks?: { waiting: number; most: number; crowdedOut: number };
  /** Opens that the policy in force would not grant any more. */
  revocation: RevokedCounts & { onRevoke: OnRevoke; holdersUnseen: string | null; signalled: number };
  copyUps: { count: number; bytes: number };
  anomalies: number;
}

/** One second of a server. */
export interface ServerSecond {
  /** Its end, in milliseconds since 1970. */
  atMs: number;
  /** The share of the time in which the event loop did not wait, from 0 to 1. */
  busy: number;
  /** The longest time in which the event loop served nobody. */
  pauseMs: number;
  /** Spent on garbage collection. */
  collectedMs: number;
  /** Requests in the kernel's queue, with those that are being served; null if the kernel does not tell. */
  queued: number | null;
  /** The longest request of each operation. */
  worstMs: Record<string, number>;
}

/** Counts since the start of the server; two reports give rates. */
export interface ActivityReport {
  mountpoint: string;
  /** Milliseconds since 1970. */
  atMs: number;
  uptimeMs: number;
  engine: string;
  passthrough: boolean;
  state: "serving" | "draining";
  inFlight: number;
  /** The last minute, the oldest second first; empty in the first report. An older server has no such field. */
  seconds?: readonly ServerSecond[];
  requests: Record<string, { errors: number; durations: DurationCounts }>;
  opens: Record<string, number>;
  openNow: Record<string, number>;
  /** By "effect/source". */
  decisions: Record<string, number>;
  decisionDurations: DurationCounts;
  rules: [rule: string, counts: Record<string, number>][];
  /** The hottest first; a count may be too high by `atMostOver`. */
  paths: { path: string; count: number; atMostOver: number }[];
  /** The most frequent denials, and the caller of each; `pid` is the newest one's. A server of an earlier version has no such list. */
  denied?: { path: string; rule: string; program: string; uid: number; pid: number; count: number; atMostOver: number }[];
  /** Denials beyond the rate at which the server names them. */
  deniedUnnamed?: number;
  mediatedBytes: Record<string, number>;
  copyUps: { count: number; bytes: number; underWay: { path: string; sizeBytes: number; copiedBytes: number; elapsedMs: number }[] };
  grants: number;
  revoked: number;
}

/** The answer to `layers`. Root gets it after the descriptors of the upper layer, the lower ones, top first, and the data-only ones. */
export interface LayersItem {
  mountpoint: string;
  upper: string | null;
  lowers: readonly string[];
  dataLowers: readonly string[];
  userXattr: boolean;
}
