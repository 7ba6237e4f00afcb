/** Opens the decider of a mount: none, the embedded decision service, or one elsewhere. No other file here knows the client. */
import { type Decider, DecisionError } from "@sluice/decision-api";
import { type DecisionClientEvents, grantAllDecider, type OutageMode, type RevisionView } from "@sluice/decision-client";
import { bootTimeMs } from "@sluice/native";
import { type Logger, VERSION } from "@sluice/runtime";
import { wrong } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import type { DecisionHost, StartEmbeddedDecision } from "../mount-host.js";
import type { MountContext } from "../serve/mount-context.js";
import { openTracing } from "../tracing/open-tracing.js";
import { delayUntilReady } from "./delay-until-ready.js";
import { embeddedOptions } from "./embedded-options.js";

/** How long the mount waits for the service to name its policy, before it comes up without it. */
const READY_MS = { embedded: 15_000, remote: 3_000 } as const;
/** How long calls by name wait after that for a service that the mount started: on a starved machine its start takes longer. */
const LATE_MS = 45_000;

function outageMode(config: MountConfig): OutageMode {
  return config.onOutage === "stale" ? { kind: "stale", staleForMs: config.staleForMs } : { kind: config.onOutage };
}

function clientEvents(logger: Logger): DecisionClientEvents {
  return {
    connected: (address) => logger.info({ address }, "a decision service answers"),
    disconnected: (address, reason) => logger.warn({ address, reason }, "a decision service went away"),
    unreachable: (address, reason) => logger.warn({ address, reason }, "a decision service cannot be reached"),
    replayed: (count) => logger.info({ count }, "questions were put again"),
    strayAnswer: (address) => logger.warn({ address, anomaly: true }, "an answer that nobody waits for: not used"),
    malformedAnswer: (address, problem) => logger.warn({ address, problem, anomaly: true }, "a malformed answer: not used"),
    hedged: () => logger.debug("a question was put to a second replica"),
    revisions: (view) => logRevisions(logger, view),
    hitsLost: (count) => logger.warn({ count }, "decisions from the cache that no decision log has"),
  };
}

function logRevisions(logger: Logger, view: RevisionView): void {
  switch (view.kind) {
    case "none":
      return;
    case "agreed":
      logger.debug({ revision: view.revision.digest }, "all decision services hold one policy");
      return;
    case "split": {
      const revisions = view.revisions.map(({ sequence, digest }) => `${sequence} ${digest}`);
      logger.warn({ revisions }, "decision services hold different policies: the stricter answer holds, and none is cached");
    }
  }
}

/** The module that loads gRPC: only a mount that asks a service needs it. */
type Client = typeof import("@sluice/decision-client/connect");

interface Service {
  target: string;
  /** Undefined: the service runs elsewhere. */
  host: DecisionHost | undefined;
}

function connectTo({ connectDecider }: Client, { target, host }: Service, context: MountContext): Decider {
  const { config, logger } = context;
  const { decision } = config;
  try {
    return connectDecider({
      target,
      tls: decision.kind === "remote" ? decision.tls : undefined,
      mount: config.name,
      clientVersion: VERSION,
      onOutage: outageMode(config),
      timeoutMs: config.decisionTimeoutMs,
      nowMs: bootTimeMs,
      events: clientEvents(logger),
      policyTouched: host?.policyTouched,
      describeMount: (lookedAt) => context.describeMount?.(lookedAt),
    });
  } catch (error) {
    if (!(error instanceof DecisionError)) throw error;
    throw wrong(`--decision ${target}`, error.message, "correct the target or the certificates");
  }
}

/** Resolves as `ready`. Rejects with the error of a service that failed before. */
function readyOrFailed(ready: Promise<boolean>, failed: Promise<Error> | undefined): Promise<boolean> {
  if (failed === undefined) return ready;
  const rejected = failed.then((error): never => {
    throw error;
  });
  // It may fail after the wait is over: then the outage mode holds, and the log has it.
  rejected.catch(() => undefined);
  return Promise.race([ready, rejected]);
}

export interface OpenedDecider {
  decider: Decider;
  /** As of `DecisionHost`. */
  unprotected: string | undefined;
  /** Resolves when the first policy is known, or when the wait for it is over. */
  firstPolicy: Promise<unknown>;
}

export interface DeciderParts {
  start: StartEmbeddedDecision;
  runDirectory: string;
  /** Loads the code that the mount needs later, while the service starts. */
  load(): Promise<unknown>;
}

type ServiceChoice = Exclude<MountConfig["decision"], { kind: "none" }>;

async function findService(decision: ServiceChoice, context: MountContext, { start, runDirectory }: DeciderParts): Promise<Service> {
  if (decision.kind === "remote") return { target: decision.target, host: undefined };
  const { config, logger, undo, keeper } = context;
  const parts = { runDirectory, logger, session: keeper?.session, takesOver: takesOver(context) };
  const host = await start(embeddedOptions(decision, config, parts));
  undo.push("end the decision service", () => host.close());
  return { target: host.target, host };
}

/** Another server served this mount before. */
export function takesOver({ keeper }: MountContext): boolean {
  return keeper?.link.restored === true;
}

async function connectService(decision: ServiceChoice, context: MountContext, parts: DeciderParts): Promise<OpenedDecider> {
  const { config, logger, undo } = context;
  const service = await findService(decision, context, parts);
  const { target, host } = service;
  // Its process has begun, and loads its own code meanwhile.
  const [client] = await Promise.all([import("@sluice/decision-client/connect"), parts.load()]);
  const decider = connectTo(client, service, context);
  undo.push("close the decision client", () => decider.close());
  const ready = readyOrFailed(client.whenReady(decider, READY_MS[decision.kind]), host?.failedToStart).then((isReady) => {
    if (isReady) return;
    const outcome = config.onOutage === "mediate" ? "opens are mediated" : "opens are denied";
    logger.warn({ target, onOutage: config.onOutage }, `the decision service cannot be reached: ${outcome} until it can`);
  });
  const unprotected = host?.unprotected;
  if (takesOver(context)) {
    // Its callers expect no start: they wait as long for a name as for a decision. Nothing else waits for that.
    const firstPolicy = client.whenReady(decider, Math.max(READY_MS[decision.kind], config.decisionTimeoutMs));
    // Such a service is started again rather than failing for good, so `ready` does not reject.
    return { decider: delayUntilReady(decider, ready), unprotected, firstPolicy };
  }
  await ready;
  return { decider, unprotected, firstPolicy: decision.kind === "embedded" ? client.whenReady(decider, LATE_MS) : ready };
}

/** Traces the questions if the mount is traced. @throws CliError if the decision service cannot be used */
export async function openDecider(context: MountContext, parts: DeciderParts): Promise<OpenedDecider> {
  const { config, logger, undo } = context;
  const traced = await openTracing(config, logger, undo);
  context.spans = traced?.spans;
  const { decision } = config;
  const opened: OpenedDecider =
    decision.kind === "none"
      ? { decider: grantAllDecider(), unprotected: undefined, firstPolicy: Promise.resolve() }
      : await connectService(decision, context, parts);
  return traced === undefined ? opened : { ...opened, decider: traced.decider(opened.decider) };
}
