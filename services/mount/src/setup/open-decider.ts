/** Who decides for this mount: nobody, the embedded service, or one elsewhere. The only file here that knows the client. */
import { type Decider, DecisionError, type MountReport } from "@sluice/decision-api";
import { type DecisionClientEvents, grantAllDecider, type OutageMode, type RevisionView } from "@sluice/decision-client";
import { type Logger, VERSION } from "@sluice/runtime";
import { wrong } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import { afterFirstWord } from "./after-first-word.js";
import type { UndoStack } from "../shutdown/undo-stack.js";

/** A decision service that runs beside us as a child process. */
export interface DecisionHost {
  /** A gRPC target. */
  readonly target: string;
  /** Resolves when the child ended before it ever served, with the reason. */
  readonly failedToStart: Promise<Error>;
  /** Whether a file of the policy may have changed since the last call; asked before each decision, kept or new. */
  readonly policyTouched: () => boolean;
  /** Why processes of an unprivileged user may signal it; undefined if only root may. */
  readonly unprotected: string | undefined;
  close(): Promise<void>;
}
export interface EmbeddedDecisionOptions {
  policyFile: string;
  /** A private directory for its socket. */
  runDirectory: string;
  logger: Logger;
  logLevel: string;
  /** Undefined: standard error. */
  logFile: string | undefined;
  /** Of a collector for its spans; undefined: it traces nothing. */
  tracingEndpoint: string | undefined;
  /** Another server served before: a mistake in the policy now is the service's to tell, and the service is tried again. */
  goesOn: boolean;
}
export type StartEmbeddedDecision = (options: EmbeddedDecisionOptions) => Promise<DecisionHost>;

/** How long to wait for the first word of the service before the mount comes up without it. */
const FIRST_WORD_MS = { embedded: 15_000, remote: 3_000 } as const;

function outageMode(config: MountConfig): OutageMode {
  return config.onOutage === "stale" ? { kind: "stale", staleForMs: config.staleForMs } : { kind: config.onOutage };
}

function clientEvents(logger: Logger): DecisionClientEvents {
  return {
    connected: (address) => logger.info({ address }, "a decision service answers"),
    disconnected: (address, reason) => logger.warn({ address, reason }, "a decision service went away"),
    replayed: (count) => logger.info({ count }, "questions were put again"),
    strayAnswer: (address) => logger.warn({ address, anomaly: true }, "an answer that nobody waits for: not used"),
    malformedAnswer: (address, problem) => logger.warn({ address, problem, anomaly: true }, "a malformed answer: not used"),
    hedged: () => logger.debug("a question was put to a second replica"),
    revisions: (view) => tellView(logger, view),
    hitsLost: (count) => logger.warn({ count }, "decisions from the cache that no decision log has"),
  };
}

function tellView(logger: Logger, view: RevisionView): void {
  switch (view.kind) {
    case "none":
      return;
    case "agreed":
      logger.debug({ revision: view.revision.digest }, "all decision services hold one policy");
      return;
    case "split": {
      const revisions = view.revisions.map(({ sequence, digest }) => `${sequence} ${digest}`);
      logger.warn({ revisions }, "decision services hold different policies: the stricter answer holds, and none is kept");
    }
  }
}

interface DeciderParts {
  start: StartEmbeddedDecision;
  runDirectory: string;
  logger: Logger;
  undo: UndoStack;
  goesOn: boolean;
  /** For the consoles of decision services; undefined until the mount serves. */
  describeMount: () => MountReport | undefined;
}

/** What loads gRPC: only where somebody is asked. */
type Client = typeof import("@sluice/decision-client/connect");

interface Service {
  target: string;
  policyTouched: (() => boolean) | undefined;
}

function connectTo({ connectDecider }: Client, service: Service, config: MountConfig, { logger, describeMount }: DeciderParts): Decider {
  const { decision } = config;
  const { target, policyTouched } = service;
  try {
    return connectDecider({
      target,
      tls: decision.kind === "remote" ? decision.tls : undefined,
      mount: config.name,
      clientVersion: VERSION,
      onOutage: outageMode(config),
      timeoutMs: config.decisionTimeoutMs,
      events: clientEvents(logger),
      policyTouched,
      describeMount,
    });
  } catch (error) {
    if (!(error instanceof DecisionError)) throw error;
    throw wrong(`--decision ${target}`, error.message, "correct the target or the certificates");
  }
}

/** True where the service has said which policy is in force, which `ready` is of. Throws what broke it before. */
function firstWord(ready: Promise<boolean>, broken: Promise<Error>): Promise<boolean> {
  const failed = broken.then((error): never => {
    throw error;
  });
  // It may break after the wait is over: then the outage mode holds, and the log has it.
  failed.catch(() => undefined);
  return Promise.race([ready, failed]);
}

const never = new Promise<Error>(() => undefined);

export interface OpenedDecider {
  decider: Decider;
  /** As of `DecisionHost`. */
  unprotected: string | undefined;
}

export async function openDecider(config: MountConfig, parts: DeciderParts): Promise<OpenedDecider> {
  const { decision } = config;
  const { logger, undo } = parts;
  if (decision.kind === "none") return { decider: grantAllDecider(), unprotected: undefined };
  // While the service starts.
  const loading = import("@sluice/decision-client/connect");
  let target: string;
  let broken = never;
  let host: DecisionHost | undefined;
  if (decision.kind === "embedded") {
    const { policyFile } = decision;
    const started = await parts.start({
      policyFile,
      runDirectory: parts.runDirectory,
      logger,
      logLevel: config.logLevel,
      logFile: config.logFile,
      tracingEndpoint: config.tracing?.endpoint,
      goesOn: parts.goesOn,
    });
    undo.push("end the decision service", () => started.close());
    host = started;
    target = started.target;
    broken = started.failedToStart;
  } else {
    target = decision.target;
  }
  const client = await loading;
  const decider = connectTo(client, { target, policyTouched: host?.policyTouched }, config, parts);
  undo.push("close the decision client", () => decider.close());
  const ready = client.whenReady(decider, FIRST_WORD_MS[decision.kind]);
  const word = firstWord(ready, broken).then((said) => {
    if (said) return;
    const outcome = config.onOutage === "mediate" ? "opens are mediated" : "opens are denied";
    logger.warn({ target, onOutage: config.onOutage }, `the decision service cannot be reached: ${outcome} until it can`);
  });
  const unprotected = host?.unprotected;
  // Nothing is broken for good then: `word` does not reject.
  if (parts.goesOn) return { decider: afterFirstWord(decider, word), unprotected };
  await word;
  return { decider, unprotected };
}
