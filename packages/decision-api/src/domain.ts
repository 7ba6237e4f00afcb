/** Decisions as the services speak of them: no wire type and no transport here. */

export type Effect = "grant" | "mediate" | "deny";
export type Access = "read" | "write" | "execute" | "create" | "delete" | "link" | "rename" | "truncate" | "metadata";
export type Operation = "open" | "create" | "tmpfile" | "mknod" | "mkdir" | "symlink" | "link" | "rename" | "unlink" | "rmdir" | "setattr";
export type FileKind = "regular" | "directory" | "symlink" | "character-device" | "block-device" | "fifo" | "socket";

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

/** Where an answer came from: the service, no policy at all, a kept answer in an outage, or the outage mode itself. */
export type DecisionSource = "service" | "none" | "stale" | "outage";

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
}

/** What the policy in force looks at. */
export interface PolicyCapabilities {
  revision: PolicyRevision;
  policyId: string;
  /** Accesses that some rule governs, besides the ones of an open, which are always asked. */
  accesses: ReadonlySet<Access>;
  needsGroups: boolean;
  needsExecutable: boolean;
  needsCgroup: boolean;
  xattrs: readonly string[];
  unconditionalGrant: boolean;
  /** Names of rules that look at who asks, for an engine that does not know it. Absent: none. */
  callerRules?: readonly string[];
  /** What is wrong with the newest edit of the policy, which is therefore not in force. Absent: the newest edit is. */
  refusedEdit?: string;
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

export interface DeciderStatus {
  target: string;
  state: "ready" | "connecting" | "outage" | "closed";
  replicas: readonly { address: string; state: string; inFlight: number }[];
  revision: PolicyRevision | undefined;
  policyId: string | undefined;
}

/** Answers questions. A promise rejects with `DecisionError` only. */
export interface Decider {
  /** At once where nothing has to be waited for. `signal` is the caller's interruption. */
  decide(question: Question, signal: AbortSignal | undefined): Decision | Promise<Decision>;
  /** Of the policy in force as last heard; undefined before the first word of the service. */
  capabilities(): PolicyCapabilities | undefined;
  /** Called on each change of policy. Returns how to stop listening. */
  onPolicyChange(listener: (capabilities: PolicyCapabilities) => void): () => void;
  status(): DeciderStatus;
  close(): Promise<void>;
}

/** What a policy with these capabilities has its asker look for, as `Question.lookedFor` has it. */
export function factsLookedFor(
  capabilities: Pick<PolicyCapabilities, "xattrs" | "needsGroups" | "needsExecutable" | "needsCgroup">,
): readonly string[] {
  const facts = capabilities.xattrs.map((name) => `resource.xattr.${name}`);
  if (capabilities.needsGroups) facts.push("subject.groups");
  if (capabilities.needsExecutable) facts.push("subject.executable");
  if (capabilities.needsCgroup) facts.push("subject.cgroup");
  return facts;
}
