/** Decisions as the services speak of them: no wire type and no transport here. */
import type { FactNeeds } from "./fact-needs.js";

export type Effect = "grant" | "mediate" | "deny";
export const ALL_ACCESSES = ["read", "write", "execute", "create", "delete", "link", "rename", "truncate", "metadata"] as const;
export type Access = (typeof ALL_ACCESSES)[number];

export const ALL_OPERATIONS = [
  "open",
  "create",
  "tmpfile",
  "mknod",
  "mkdir",
  "symlink",
  "link",
  "rename",
  "unlink",
  "rmdir",
  "setattr",
] as const;
export type Operation = (typeof ALL_OPERATIONS)[number];

export const ALL_KINDS = ["regular", "directory", "symlink", "character-device", "block-device", "fifo", "socket"] as const;
export type FileKind = (typeof ALL_KINDS)[number];

/** From lax to strict. */
export const STRICTNESS: Readonly<Record<Effect, number>> = { grant: 0, mediate: 1, deny: 2 };

export interface Subject {
  uid: number;
  gid: number;
  groups?: readonly number[];
  /** The caller's thread id; 0 where it is not visible. For logs. */
  pid: number;
  executable?: string;
  cgroup?: string;
}

/** The beginning of a file's content. */
export interface Head {
  /** Fewer than were asked for: all that there are. */
  bytes: Uint8Array;
  askedBytes: number;
}

export interface Resource {
  mount: string;
  /** Every known name below the mount, no leading slash, as byte strings (one character = one byte). */
  paths: readonly string[];
  /** "upper", "lower0" (topmost), "lower1", ... */
  layer: string;
  kind: FileKind;
  sizeBytes: bigint;
  mode: number;
  uid: number;
  gid: number;
  xattrs: ReadonlyMap<string, Uint8Array>;
  /** Absent: not looked for, or missing. Empty where there is no content. */
  head?: Head;
  /** SHA-256 of the content, hexadecimal; "" where there is none. Absent: not looked for, or missing. */
  digest?: string;
}

/** A fact the policy asks for that could not be read; `name` as in proto MissingFact. */
export interface MissingFact {
  name: string;
  reason: string;
}

export interface Question {
  /** Shared by every repetition of one question, so that logs count it once. */
  id: string;
  operation: Operation;
  accesses: readonly Access[];
  subject: Subject;
  resource: Resource;
  openFlags: number;
  missing: readonly MissingFact[];
  /**
   * Facts that were looked for, named as in `MissingFact`: one that is absent and not among them counts as missing. Where
   * this is left out, the client fills in what the policy in force as it is asked looks at.
   */
  lookedFor?: readonly string[];
  /** The span that asks (W3C traceparent). Absent: the question is not traced. Never looked at to decide. */
  traceparent?: string | undefined;
}

export interface PolicyRevision {
  sequence: bigint;
  /** SHA-256 of the policy, hexadecimal. */
  digest: string;
}

/** What must be done if the open is let through; one that is not known denies. */
export interface Obligation {
  name: string;
  value: string;
}

/**
 * Where an answer came from: the service, the service when a second replica was asked because the first was slow, a kept
 * answer whose scope covers the question, no policy at all, a kept answer in an outage, or the outage mode itself.
 */
export type DecisionSource = "service" | "hedge" | "cache" | "none" | "stale" | "outage";

export type SubjectField = "uid" | "gid" | "groups" | "executable" | "cgroup";
/** "owner" is uid and gid of the file. */
/** "content" is the head. */
export type ResourceFact = "layer" | "kind" | "size" | "mode" | "owner" | "content" | "digest";

/** For which other questions an answer holds, while its revision is in force. As in proto Scope. */
export interface CacheScope {
  /** A directory below the mount, "" for its root: every path below it. Undefined: the names of the question alone. */
  subtree: string | undefined;
  /** What was looked at; its values, taken afresh, must be those of the question that was answered. */
  subject: readonly SubjectField[];
  resource: readonly ResourceFact[];
  xattrs: readonly string[];
  /** Those of the question that was answered. */
  accesses: readonly Access[];
  /** Undefined: as long as the revision is in force. */
  ttlMs: number | undefined;
}

/** What an open gets while no decision can be had. */
export type OutageEffect = "deny" | "mediate" | "stale";

export interface Decision {
  effect: Effect;
  /** Positive errno for a denial: EACCES, EPERM or ENOENT. */
  errno: number;
  decisionId: string;
  policyId: string;
  /** "default" where no rule matched. */
  rule: string;
  revision: PolicyRevision;
  reason: string;
  obligations: readonly Obligation[];
  source: DecisionSource;
  /** Absent: for this question alone, never to be kept. */
  scope?: CacheScope | undefined;
  /** What the rule wants in an outage; absent: what the mount is configured to. */
  onOutage?: OutageEffect | undefined;
}

/**
 * What is about to be asked, before a question is made of it: each fact is read when it is asked for, and read afresh.
 * So a kept answer costs only the facts that it depends on. Names and values as in `Question`.
 */
export interface Inquiry {
  readonly operation: Operation;
  readonly accesses: readonly Access[];
  readonly paths: readonly string[];
  readonly uid: number;
  readonly gid: number;
  /** One of the other facts as text, equal where the fact is equal; undefined where it cannot be read. */
  fact(fact: TextFact): string | undefined;
  xattr(name: string): string | undefined;
}
/** Facts of an `Inquiry` that come as text. */
export type TextFact = Exclude<SubjectField, "uid" | "gid"> | ResourceFact;
/** What `Inquiry.xattr` gives where the file has no such attribute: no value can be equal to it. */
export const NO_XATTR = "-";

/** What the policy in force looks at. */
export interface PolicyCapabilities extends FactNeeds {
  revision: PolicyRevision;
  policyId: string;
  /** Accesses that some rule governs, besides the ones of an open, which are always asked. */
  accesses: ReadonlySet<Access>;
  unconditionalGrant: boolean;
  /** Names of rules that look at who asks, for an engine that does not know it. Absent: none. */
  callerRules?: readonly string[];
  /** What is wrong with the newest edit of the policy, which is therefore not in force. Absent: the newest edit is. */
  refusedEdit?: string;
  /** The policy in a few words, for people: "3 rules, default grant". Absent: the service does not say. */
  summary?: string;
}

/** Why no decision could be had. */
export type DecisionErrorCode = "unreachable" | "deadline" | "cancelled" | "malformed" | "refused" | "closed";

export class DecisionError extends Error {
  override readonly name = "DecisionError";
  constructor(
    readonly code: DecisionErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Counts since the start, and what is kept now. */
export interface CacheStatus {
  entries: number;
  /** An estimate of what they take. */
  bytes: number;
  hits: number;
  misses: number;
  /** Answers that no later question can use: without scope, or with a fact that is dear to read. */
  uncacheable: number;
  evictions: number;
  invalidations: number;
}

export interface DeciderStatus {
  target: string;
  state: "ready" | "connecting" | "outage" | "closed";
  replicas: readonly { address: string; state: string; inFlight: number }[];
  revision: PolicyRevision | undefined;
  policyId: string | undefined;
  /** Revisions that replicas hold at once without an order between them: the stricter answer holds. Absent or empty: they agree. */
  split?: readonly PolicyRevision[];
  cache?: CacheStatus;
}

/** Answers questions. A promise rejects with `DecisionError` only. */
export interface Decider {
  /** At once where nothing has to be waited for. `signal` is the caller's interruption. */
  decide(question: Question, signal: AbortSignal | undefined): Decision | Promise<Decision>;
  /**
   * A kept answer that holds for this, at once and without a question; undefined where one must be asked, and for an answer with
   * obligations, which hold for an open file that can ask again. Absent: nothing is kept.
   */
  recall?(inquiry: Inquiry): Decision | undefined;
  /** Of the policy in force as last heard; undefined before the first word of the service. */
  capabilities(): PolicyCapabilities | undefined;
  /** Called on each change of policy. Returns how to stop listening. */
  onPolicyChange(listener: (capabilities: PolicyCapabilities) => void): () => void;
  status(): DeciderStatus;
  close(): Promise<void>;
}
