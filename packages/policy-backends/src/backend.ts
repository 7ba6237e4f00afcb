/**
 * A policy backend: a source of policies, one of them in force. The rest of the decision service knows no more of rules,
 * Cedar or OPA than this. A backend neither logs nor counts: it answers and throws, the service tells of it.
 */
import type {
  CacheScope,
  Effect,
  Obligation,
  PolicyCapabilities,
  PolicyRevision,
  Question,
  RuleRates,
  StatedOutage,
} from "@sluice/decision-api";

/** A policy's answer to a question. The service makes a decision of it: an id, the revision, the audit line. */
export interface Ruling {
  effect: Effect;
  /** Positive errno of a denial, else 0. */
  errno: number;
  /** "default" if no rule matched. */
  rule: string;
  /** For a person; names the fact if one was missing. */
  reason: string;
  obligations: readonly Obligation[];
  /** As in `Decision`. */
  rates?: readonly RuleRates[] | undefined;
  /** The other questions that the answer holds for, from everything that was looked at. Absent: it must not be cached. */
  scope?: CacheScope | undefined;
  /** The effect while no decision can be had: the strictest of the rules that decided. */
  onOutage?: StatedOutage | undefined;
  /** The denial of a hidden name. */
  hides?: true;
  /**
   * A fact is missing, and without it nobody can say whether any rule matches: the answer if one does. Only of a question for one access
   * under one name, for policies that ask another one if no rule matches.
   */
  mayMatch?: Ruling;
}

/** No rule of a policy matched: another one may know more. */
export const abstains = ({ rule }: Pick<Ruling, "rule">): boolean => rule === "default";

/** One policy, never changing once it is made: whoever holds it gets answers of one revision only. */
export interface Policy {
  readonly id: string;
  readonly revision: PolicyRevision;
  readonly capabilities: PolicyCapabilities;
  /** May throw or reject: the service then answers "internal", which the mount service turns into a denial. */
  evaluate(question: Question): Ruling | Promise<Ruling>;
}

/** The result of a look at the source. "failed": it has changed and does not check; the policy in force stays. */
export type Refresh = { state: "unchanged" } | { state: "changed" } | { state: "failed"; error: Error };

export interface PolicyBackend {
  /** The kind of the policy in force, for labels of metrics: "rules". */
  readonly name: string;
  /** The policy in force. Replaced as a whole by `refresh`, never altered. */
  readonly policy: Policy;
  /** Why the source is not what is in force, while that is so. */
  readonly failure: Error | undefined;
  /** Puts the newest policy in force. Called before each batch of questions, so it must be cheap if nothing changed. */
  refresh(): Refresh;
  /** Directories in which a change hints at a new policy. */
  readonly watchedDirectories: readonly string[];
  /** Calls when a refresh would find a policy that took time to make, or that changed elsewhere. Absent: never. */
  onHint?(listener: () => void): void;
  dispose(): Promise<void>;
}
