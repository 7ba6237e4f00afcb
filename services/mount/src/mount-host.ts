/** The program around the mount service. It supplies the decision service and the keeper, so that the service imports neither. */
import type { Logger } from "@sluice/runtime";
import type { SupervisedHost } from "./host/keep-host.js";
import type { AwaitedMount, SupervisedMount } from "./keeper/start-keeper.js";

/** A decision service that runs beside the mount as a child process. */
export interface DecisionHost {
  /** A gRPC target. */
  readonly target: string;
  /** Resolves with the reason if the child ended before it ever served. */
  readonly failedToStart: Promise<Error>;
  /** Whether a file of the policy may have changed since the last call. Asked before each decision, cached or new. */
  readonly policyTouched: () => boolean;
  /** Why processes of an unprivileged user may signal it; undefined if only root may. */
  readonly unprotected: string | undefined;
  close(): Promise<void>;
}

export interface EmbeddedDecisionOptions {
  policyFile: string;
  /** As in `EmbeddedChoice`. */
  askTimeoutMs: number | undefined;
  answersFile: string | undefined;
  /** The same, open for reading and appending, in place of its path. It stays the caller's. */
  answersFd?: number | undefined;
  /** A private directory for its socket. */
  runDirectory: string;
  logger: Logger;
  logLevel: string;
  /** Undefined: standard error. */
  logFile: string | undefined;
  /** The file that its decisions are appended to; undefined: it logs none. */
  decisionLog: string | undefined;
  /** Of a collector for its spans; undefined: it traces nothing. */
  tracingEndpoint: string | undefined;
  /** Another server served before: the service itself reports a mistake in the policy, and is started again. */
  takesOver: boolean;
}

export type StartEmbeddedDecision = (options: EmbeddedDecisionOptions) => Promise<DecisionHost>;

export interface DecisionUser {
  uid: number;
  gid: number;
  groups: readonly number[];
}

/** A process for an embedded decision service that has started before its policy is known. */
export interface ReadyDecisions {
  /** The one of the only policy of this process starts now. */
  startNext(): Promise<void>;
  /** From now on one is ready for the next policy. */
  keep(): Promise<void>;
  /** This process stands by: so many are ready when its turn comes, and no more. */
  prepare(count: number): Promise<void>;
  /** This process serves. `tell` gets the number of processes that the next one should have ready, and each change of it. */
  countForNext(tell: (count: number) => void): Promise<void>;
  /** One is ready for the only policy of a process that is about to become another user. It waits with the rights of this process. */
  keepForUser(): Promise<void>;
  /** It serves a policy of its own program, as it will serve that of the mount, while `use` works with this gRPC target. */
  rehearse(use: (target: string) => Promise<void>): Promise<void>;
  /** It becomes this user, without any capability, before it learns its policy. */
  assign(user: DecisionUser): Promise<void>;
  /** Ends it. */
  end(): Promise<void>;
}

export interface MountHost {
  startEmbeddedDecision: StartEmbeddedDecision;
  /** For a service of many mounts. */
  readyDecisions?: ReadyDecisions;
  /** The program that a keeper starts as the server: this one. */
  serverProgram?: { file: string; argv: readonly string[] };
  /** This process becomes a keeper that waits for servers. It returns only by throwing. */
  becomeAwaitingKeeper?: (mount: AwaitedMount) => never;
  /** The program that the keeper of a host service starts. */
  hostProgram?: { file: string; argv: readonly string[] };
  /** This process becomes the keeper of a host service. It returns only by throwing. */
  becomeHostKeeper?: (host: SupervisedHost) => never;
  /** This process becomes the keeper of a mount. It returns only by throwing. */
  becomeKeeper?: (mount: SupervisedMount) => never;
  /** Gets the line that says that the mount serves requests. By default it goes to standard output. */
  announce?: (line: string) => void;
}
