/** A kind of policy: the form of its configuration, and how an engine is made of one. */
import type { Access, FactNeeds, PolicyCapabilities, PolicyRevision, Question } from "@sluice/decision-api";
import type { z } from "zod";
import type { Policy, Ruling } from "./backend.js";
import type { DocumentWords } from "./document/yaml-document.js";
import type { PolicyProblem } from "./rules/problem.js";

/** The answers of the policy in force and of a candidate beside it to one question. */
export interface ShadowDifference {
  question: Question;
  inForce: Ruling;
  candidate: Ruling;
}

/** Reports of backends besides their answers. Called often: cheap. */
export interface BackendEvents {
  /** A candidate said the same. */
  shadowAgreed(): void;
  shadowDiffered(difference: ShadowDifference): void;
  shadowFailed(error: Error): void;
  /** The candidate was not asked: too many questions already wait for it. */
  shadowSkipped(): void;
  /** A source of policies elsewhere answers again, or for the first time. */
  sourceReached(source: string): void;
  /** An unwise part of a configuration, with its place. */
  warned(warning: Error): void;
  /** The source was recreated and counts from the beginning: its content is older than the policy in force, until it has caught up. */
  sourceReset(source: string, inForce: bigint): void;
  /** It does not: the last policy that it delivered stays in force. Told again with each attempt. */
  sourceUnreachable(source: string, error: Error): void;
}

export const NO_BACKEND_EVENTS: BackendEvents = {
  shadowAgreed: () => undefined,
  shadowDiffered: () => undefined,
  shadowFailed: () => undefined,
  shadowSkipped: () => undefined,
  sourceReached: () => undefined,
  warned: () => undefined,
  sourceReset: () => undefined,
  sourceUnreachable: () => undefined,
};

/** The facts that an engine looks at, as `PolicyCapabilities` has it. */
export type LooksAt = FactNeeds &
  Pick<PolicyCapabilities, "callerRules" | "summary" | "asks"> & {
    accesses: ReadonlySet<Access>;
  };

/** A rule that hides names: globs below the mount, which `HiddenNames` takes. */
export interface HideRule {
  rule: string;
  globs: readonly string[];
}

/** Answers questions, without a name or a revision of its own. */
export interface Engine {
  evaluate(question: Question): Ruling | Promise<Ruling>;
  readonly looksAt: LooksAt;
  /** The names that it hides; nobody asks it about these. Absent: none, or it cannot express that. */
  readonly hides?: readonly HideRule[] | undefined;
  readonly ruleCount: number;
  readonly warnings: readonly PolicyProblem[];
  /** Of a policy that lives elsewhere: changes with it. */
  readonly remoteRevision?: (() => string) | undefined;
  /** Of a policy that a source delivers as a whole: its identity, wherever it is asked for. */
  readonly deliveredRevision?: (() => PolicyRevision) | undefined;
  /** Why the newest content of the source is not in force; undefined if it is. */
  readonly refusal?: (() => Error | undefined) | undefined;
  /** Calls when `looksAt` or `remoteRevision` or `refusal` have changed, before the first answer that comes of it. */
  onChange?(listener: () => void): void;
  /** Lets what is being evaluated end, within its time budget. */
  dispose(): Promise<void>;
}

/** How an engine gets at what its configuration names. */
export interface LoadContext {
  /** The configuration, for messages and for labels. */
  readonly file: string;
  readonly id: string;
  /** The name of a file as the configuration writes it, relative to the configuration. */
  resolve(name: string): string;
  /** Throws `PolicyError` at the place of `path`. */
  read(name: string, path: readonly PropertyKey[], maxBytes?: number): Buffer;
  /** Throws `PolicyError`, of a file that is not UTF-8 at its place there. */
  readText(name: string, path: readonly PropertyKey[]): string;
  /** The same mistake at a place of the configuration. */
  problem(path: readonly PropertyKey[], message: string, remedy: string): Error;
  readonly events: BackendEvents;
  /** The policy of files that a source delivered. Rejects with `PolicyError`. */
  loadDelivered(files: ReadonlyMap<string, Buffer>, entry: string): Promise<LoadedPolicy>;
  /** The policy that a combinator names: a file, or a configuration in place. */
  loadPart(part: unknown, path: readonly PropertyKey[]): Promise<NamedEngine>;
}

/** A part of a combinator. */
export interface NamedEngine {
  name: string;
  /** The file that it is in. */
  file: string;
  engine: Engine;
}

export interface PolicyKind<Options = never> {
  readonly name: string;
  /** With `kind` and `revision` among its keys. */
  readonly schema: z.ZodType<Options>;
  readonly words: DocumentWords;
  /** Rejects with `PolicyError`, and then holds nothing. */
  load(options: Options, context: LoadContext): Promise<Engine>;
}

/** A policy with everything that is known of it, and what must be let go of with it. */
export interface LoadedPolicy {
  readonly kind: string;
  readonly policy: Policy;
  readonly warnings: readonly PolicyProblem[];
  readonly ruleCount: number;
  readonly engine: Engine;
  /** From which, and of the engine as it is, another policy may be made. */
  readonly base: PolicyIdentity;
}

export interface PolicyIdentity {
  kind: string;
  id: string;
  sequence: bigint;
  /** Of the files that it is made of. */
  digest: string;
}
