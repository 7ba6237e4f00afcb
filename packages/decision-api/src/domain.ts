/** Decisions as the services speak of them: no wire type and no transport here. */
import type { EnforcedReport } from "./enforced-report.js";
import type { FactNeeds } from "./fact-needs.js";
import type { PersonQuestions } from "./person-questions.js";

/** "ask": a person is asked, and has not answered yet. */
export type Effect = "grant" | "mediate" | "ask" | "deny";
/** The errnos a denial may have. */
export const DENIAL_ERRNO = { EPERM: 1, ENOENT: 2, EACCES: 13 } as const;
export const ALL_ACCESSES = ["read", "write", "execute", "create", "delete", "link", "rename", "truncate", "metadata"] as const;
export type Access = (typeof ALL_ACCESSES)[number];

/** Of a person: yes once, until the service ends, or until it is revoked; no; and "revoke" forgets an answer. */
export const PERSON_ANSWERS = ["once", "session", "always", "deny", "revoke"] as const;
export type PersonAnswer = (typeof PERSON_ANSWERS)[number];

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
export const STRICTNESS: Readonly<Record<Effect, number>> = { grant: 0, mediate: 1, ask: 2, deny: 3 };

export interface Subject {
  uid: number;
  gid: number;
  groups?: readonly number[];
  /** The caller's thread id; 0 if it is not visible. For logs. */
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
  /** Absent: not looked for, or missing. Empty if there is no content. */
  head?: Head;
  /** SHA-256 of the content, hexadecimal; "" if there is no content. Absent: not looked for, or missing. */
  digest?: string;
  /** Facts about the mount, as its administrator stated them; they never change. Absent: it has none. */
  labels?: Readonly<Record<string, string>> | undefined;
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
   * Facts that were looked for, named as in `MissingFact`: an absent fact that is not among them counts as missing. If
   * this is left out, the client fills in the facts that the policy in force looks at when the question is asked.
   */
  lookedFor?: readonly string[];
  /** The span that asks (W3C traceparent). Absent: the question is not traced. Never looked at to decide. */
  traceparent?: string | undefined;
  /** The caller's executable, or "[NAME]" of the process, for people: read for a limited number of questions a second. Never looked at to decide. */
  program?: string | undefined;
  /** If a person is to be asked, the question is put on the service's list. Absent: it is about no access that happens now. */
  mayAsk?: boolean | undefined;
  /** The asker waits for a person, at most so many milliseconds (the service knows only that it waits). Absent: it takes "ask" for an answer. */
  awaitsPersonMs?: number | undefined;
}

export interface PolicyRevision {
  sequence: bigint;
  /** SHA-256 of the policy, hexadecimal. */
  digest: string;
}

/** A duty of the mount if it lets the open through; an unknown one denies. */
export interface Obligation {
  name: string;
  value: string;
}

/**
 * The origin of an answer: the service, a second replica of it because the first was slow, a cached answer whose scope
 * covers the question, no policy at all, a cached answer in an outage, or the outage mode itself.
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
  /**
   * Globs as in the path of a rule: the answer does not hold for a path in the subtree that one of them matches. Empty without a subtree.
   */
  except: readonly string[];
  /** The fields that were looked at; read again, they must have the values of the answered question. */
  subject: readonly SubjectField[];
  resource: readonly ResourceFact[];
  xattrs: readonly string[];
  /** Those of the question that was answered. */
  accesses: readonly Access[];
  /** Undefined: as long as the revision is in force. */
  ttlMs: number | undefined;
}

/** The effect on an open while no decision can be had. */
export type OutageEffect = "deny" | "mediate" | "stale";
/** Of several rules: "stale-unless-deny" is "stale", unless the mount's own mode is "deny". */
export type StatedOutage = OutageEffect | "stale-unless-deny";

/** The rates that one rule sets, with their share. */
export interface RuleRates {
  readonly rule: string;
  readonly obligations: readonly Obligation[];
}

/** A question on a service's list, for a person. */
export interface PendingPerson {
  askId: string;
  /** Until the service denies by itself. */
  timeoutMs: number;
}

/** The answer if a rule matches of which nobody can say whether it does. As in `Decision`. */
export interface UnsureAnswer {
  effect: Effect;
  errno: number;
  rule: string;
  reason: string;
  obligations: readonly Obligation[];
  rates?: readonly RuleRates[] | undefined;
}

export interface Decision {
  effect: Effect;
  /** Positive errno for a denial: EACCES, EPERM or ENOENT. */
  errno: number;
  decisionId: string;
  policyId: string;
  /** "default" if no rule matched. */
  rule: string;
  revision: PolicyRevision;
  reason: string;
  obligations: readonly Obligation[];
  /** If rates come from other rules than `rule`: each rule's own, which hold together. `obligations` has the strictest of them. */
  rates?: readonly RuleRates[] | undefined;
  source: DecisionSource;
  /** Absent: for this question alone, never to be cached. */
  scope?: CacheScope | undefined;
  /** The rule's effect in an outage; absent: the mount's own outage mode. */
  onOutage?: StatedOutage | undefined;
  /** With "ask", of a question that may ask. */
  pending?: PendingPerson | undefined;
  /** A person allowed it. */
  byPerson?: boolean | undefined;
  /** Of a question that wants it (`WANTS_MAY_MATCH`). "none": no such rule. Absent, though wanted: the service does not say. */
  mayMatch?: UnsureAnswer | "none" | undefined;
  /** The person who answered, and for how long, for the decision log. Not on the wire, where `reason` tells it. */
  answered?: { by: string; scope: string } | undefined;
}

/**
 * The facts of an operation, before they become a question. Each fact is read when it is needed, as it is now, so a
 * cached answer costs only the facts that it depends on. Names and values as in `Question`.
 */
export interface Inquiry {
  readonly operation: Operation;
  readonly accesses: readonly Access[];
  readonly paths: readonly string[];
  readonly uid: number;
  readonly gid: number;
  /** One of the other facts as text, equal if the fact is equal; undefined if it cannot be read. */
  fact(fact: TextFact): string | undefined;
  xattr(name: string): string | undefined;
}
/** Facts of an `Inquiry` that come as text. */
export type TextFact = Exclude<SubjectField, "uid" | "gid"> | ResourceFact;
/** The result of `Inquiry.xattr` if the file has no such attribute: no value can be equal to it. */
export const NO_XATTR = "-";

/** The accesses and facts that the policy in force looks at. */
export interface PolicyCapabilities extends FactNeeds {
  revision: PolicyRevision;
  policyId: string;
  /** Accesses that some rule governs, besides the ones of an open, which are always asked. */
  accesses: ReadonlySet<Access>;
  unconditionalGrant: boolean;
  /** Names of rules that look at who asks, for an engine that does not know it. Absent: none. */
  callerRules?: readonly string[];
  /** Globs of names that the mount hides by itself, with everything below them; see `HiddenNames`. Absent: none. */
  hiddenNames?: readonly string[];
  /** Some rule asks a person. Absent: none. */
  asks?: boolean;
  /** The mistake in the newest edit of the policy, which is therefore not in force. Absent: the newest edit is in force. */
  refusedEdit?: string;
  /** The policy in a few words, for people: "3 rules, default grant". Absent: the service does not say. */
  summary?: string;
}

/** Why no decision could be had. */
export type DecisionErrorCode =
  | "unreachable"
  | "deadline"
  | "cancelled"
  | "malformed"
  /** The service refused the question. */
  | "refused"
  /** The service could not evaluate the question. */
  | "failed"
  | "closed";

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

/** Counts since the start, and the present size. */
export interface CacheStatus {
  entries: number;
  /** An estimate of their size. */
  bytes: number;
  hits: number;
  misses: number;
  /** Answers that no later question can use: without scope, or with a fact that is dear to read. */
  uncacheable: number;
  evictions: number;
  invalidations: number;
}

/** A replica of the decision service, as its client sees it. */
export interface ReplicaStatus {
  /** As the client dials it. */
  address: string;
  state: string;
  /** Of the policy that it told last; undefined while it is not connected. */
  revision: PolicyRevision | undefined;
}

export interface DeciderStatus {
  target: string;
  state: "ready" | "connecting" | "outage" | "closed";
  /** `why` it does not answer; undefined if it does. */
  replicas: readonly (ReplicaStatus & { inFlight: number; why?: string | undefined })[];
  /** Why a name or a directory in the target leads to no replica. Absent or empty: each does. */
  unresolved?: readonly string[];
  revision: PolicyRevision | undefined;
  policyId: string | undefined;
  /** Revisions that replicas hold at once without an order between them: the stricter answer holds. Absent or empty: they agree. */
  split?: readonly PolicyRevision[];
  cache?: CacheStatus;
}

/** The part of an AbortSignal that a wait needs; an AbortSignal fits. */
export interface CancelSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Answers questions. A promise rejects with `DecisionError` only. */
export interface Decider {
  /** At once unless something has to be waited for. `signal` is the caller's interruption. */
  decide(question: Question, signal: CancelSignal | undefined): Decision | Promise<Decision>;
  /**
   * A cached answer that holds for this, at once and without a question; undefined if a question must be asked, and for an answer with
   * obligations, which hold for an open file that can ask again. Absent: no answer is cached.
   */
  recall?(inquiry: Inquiry): Decision | undefined;
  /** Of the policy in force as last heard; undefined before the first word of the service. */
  capabilities(): PolicyCapabilities | undefined;
  /** Called on each change of policy. Returns how to stop listening. */
  onPolicyChange(listener: (capabilities: PolicyCapabilities) => void): () => void;
  status(): DeciderStatus;
  /** Reports decisions that were enforced without a question, for the services' consoles. Absent: there is no service. */
  tellEnforced?(report: EnforcedReport): void;
  /** The questions for a person. Absent: there are none. */
  readonly people?: PersonQuestions | undefined;
  close(): Promise<void>;
}
