/** The composition root of the decision service: its parts, in the order they start and the reverse in which they stop. */
import type { PolicyCapabilities } from "@sluice/decision-api";
import { isAboutFile, type Keeping, openPolicyFile, type PolicyBackend, type PolicyDisk, PolicyError } from "@sluice/policy-backends";
import {
  type AdminOptions,
  type AdminServer,
  CliError,
  EXIT,
  type Logger,
  parseHostPort,
  shellWord,
  silentLogger,
  startAdminServer,
  startTracing,
  type TracingOptions,
  VERSION,
} from "@sluice/runtime";
import { createRegistry, decisionMetrics, type Registry } from "@sluice/runtime/metrics";
import { refused } from "./cli/with-policy.js";
import { type DecisionLog, type DecisionLogTarget, openDecisionLog } from "./audit/decision-log.js";
import { logReports } from "./audit/log-reports.js";
import { backendReports } from "./engine/backend-reports.js";
import { isLoopback } from "./console/console-access.js";
import { ActivityHistory } from "./console/activity-history.js";
import { DecisionFeed } from "./console/decision-feed.js";
import { DecisionEngine } from "./engine/decision-engine.js";
import { watchPolicy } from "./engine/policy-watch.js";
import { startGrpcServer } from "./grpc/grpc-server.js";
import type { ListenTarget } from "./grpc/listen-target.js";
import type { TlsFiles } from "./grpc/tls-files.js";
import type { Refusals } from "./handlers/failure.js";
import { AnswerFile } from "./people/answer-file.js";
import { PersonDesk } from "./people/person-desk.js";
import { Session, type SessionHost } from "./handlers/session.js";
import { answerHandler, listHandler } from "./handlers/person-questions.js";
import { capabilitiesHandler, decideHandler } from "./handlers/unary.js";
import { watchHandler } from "./handlers/watch.js";

export interface DecisionServiceOptions {
  /** A policy file, of rules or of any other kind, or a backend, which the service then owns. */
  policy: string | PolicyBackend;
  /** How the policy's files are reached; by default by this process. */
  policyDisk?: PolicyDisk | undefined;
  /** If it is started again while the policy has a mistake: with this it begins with the policy that was in force before. */
  keeping?: Keeping | undefined;
  listen: ListenTarget;
  /** For TCP. */
  tls?: TlsFiles | undefined;
  /** Users that may connect to a unix socket; by default this process' own user and root. */
  allowedUids?: readonly number[] | undefined;
  /** Only this process may connect to a unix socket. */
  onlyPid?: number | undefined;
  /** HOST:PORT of /metrics, /healthz and /readyz. */
  admin?: string | undefined;
  /** Its holder may use the web console at the admin address; without one the console is on loopback alone. */
  adminToken?: string | undefined;
  /** How long a call to the console may work on its input, in seconds; 20 by default. */
  consoleCallBudgetS?: number | undefined;
  /** The module that works on it; this package's own by default, and its bundled form starts faster. */
  consoleCallProgram?: string | undefined;
  /** Serve AuthZEN 1.0, with the certificates of `tls` if there are any. */
  authzen?: { address: string; url?: string | undefined; token?: string | undefined } | undefined;
  /** How long a caller waits for a person; 60 s by default. */
  askTimeoutMs?: number | undefined;
  /** The file of answers that hold until they are revoked: its name, or a descriptor. Without one no answer does. */
  answers?: string | number | undefined;
  /** Default "off". */
  decisionLog?: DecisionLogTarget | undefined;
  /** Spans of the questions whose askers trace them. */
  tracing?: TracingOptions | undefined;
  log?: Logger | undefined;
  registry?: Registry | undefined;
}

export interface DecisionServiceStatus {
  policyId: string;
  capabilities: PolicyCapabilities;
  /** Why the newest edit of the policy is not in force; undefined if it is. */
  reloadFailure: string | undefined;
  sessions: number;
}

export interface DecisionService {
  /** The address that clients write to reach it. */
  target: string;
  adminAddress: string | undefined;
  /** The address that clients of AuthZEN know it by. */
  authzenUrl: string | undefined;
  /** Events of the decision log go to standard output: nothing else may. */
  logsToStdout: boolean;
  status(): DecisionServiceStatus;
  /** Says goodbye to every session, answers what was asked, and stops after at most `graceMs` (default 2000). */
  drain(graceMs?: number): Promise<void>;
}

const DRAIN_MS = 2_000;
const ASK_TIMEOUT_MS = 60_000;

function openAnswers(answers: string | number | undefined): AnswerFile | undefined {
  if (answers === undefined) return undefined;
  try {
    return new AnswerFile(answers);
  } catch (error) {
    throw new CliError(
      {
        object: typeof answers === "string" ? `--answers ${answers}` : "--answers",
        problem: "the file of answers cannot be opened, or others than its owner may write it",
        errno: (error as NodeJS.ErrnoException).code,
        remedy: "name a regular file of this user, mode 0600",
        exitCode: EXIT.USAGE,
      },
      { cause: error },
    );
  }
}

function openDesk(
  { askTimeoutMs, answers }: DecisionServiceOptions,
  { metrics }: Refusals,
): { desk: PersonDesk; file: AnswerFile | undefined } {
  const file = openAnswers(answers);
  const desk: PersonDesk = new PersonDesk({
    timeoutMs: askTimeoutMs ?? ASK_TIMEOUT_MS,
    file,
    changed: () => {
      const { open, waiting } = desk.counts;
      metrics.personQuestions.set({ state: "open" }, open);
      metrics.personQuestions.set({ state: "waiting" }, waiting);
    },
  });
  return { desk, file };
}

function complaintOf({ file, problems, message }: PolicyError, policy: string): { object: string; problem: string; remedy: string } {
  const unread = problems.find(isAboutFile);
  if (unread !== undefined) return { object: `--policy ${file}`, problem: unread.message, remedy: unread.remedy };
  return { object: "--policy", problem: message, remedy: `run 'sluice policy check ${shellWord(policy)}' for all mistakes` };
}

async function openBackend({ policy, policyDisk, keeping }: DecisionServiceOptions, tellers: Refusals): Promise<PolicyBackend> {
  if (typeof policy !== "string") return policy;
  try {
    return await openPolicyFile(policy, backendReports(tellers), policyDisk, keeping);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new CliError({ ...complaintOf(error, policy), exitCode: EXIT.USAGE }, { cause: error });
  }
}

function openLog(target: DecisionLogTarget, backend: PolicyBackend, { log, metrics }: Refusals): DecisionLog {
  const labels = {
    service: "sluice-decision",
    version: VERSION,
    // Of the policy in force as each line is written.
    get backend() {
      return backend.name;
    },
  };
  try {
    return openDecisionLog(target, labels, logReports({ log, metrics }));
  } catch (error) {
    if (error instanceof PolicyError) throw refused(error);
    const { code, path } = error as NodeJS.ErrnoException;
    const object = path === undefined ? "--decision-log" : `--decision-log ${path}`;
    const remedy = "correct the file or its directory";
    const problem = code === undefined ? (error as Error).message : "the file cannot be written";
    throw new CliError({ object, problem, errno: code, remedy, exitCode: EXIT.USAGE }, { cause: error });
  }
}

/** As often as the history has a step. */
const SAMPLE_MS = 5_000;

function sampleMounts(history: ActivityHistory, sessions: Iterable<Session>): void {
  const all = [...sessions];
  const open = (flow: string): number => all.reduce((sum, { peer }) => sum + (peer?.report?.told.openFiles[flow] ?? 0), 0);
  const works = all.flatMap((session) => session.takeWork() ?? []);
  history.sample({ kernel: open("passthrough"), daemon: open("mediated"), works }, Date.now());
}

/** Not if it would be open to a network. */
function hasConsole({ admin, adminToken }: DecisionServiceOptions): boolean {
  return admin !== undefined && (adminToken !== undefined || isLoopback(parseHostPort(admin, "--admin").host));
}

interface ServiceParts {
  engine: DecisionEngine;
  backend: PolicyBackend;
  feed: DecisionFeed;
  /** Undefined without a console. */
  history: ActivityHistory | undefined;
  desk: PersonDesk;
}

type Closers = (() => void | Promise<void>)[];

/** In the reverse order. */
async function closeAll(closers: Closers): Promise<void> {
  for (const close of closers.reverse()) await close();
}

class RunningService implements DecisionService {
  private readonly sessions = new Set<Session>();
  private draining: Promise<void> | undefined;
  target = "";
  adminAddress: string | undefined;
  authzenUrl: string | undefined;
  logsToStdout = false;
  private stopAccepting: () => void = () => undefined;
  private shutdown: (graceMs: number) => Promise<void> = () => Promise.resolve();

  private readonly startedMs = Date.now();

  private constructor(
    private readonly parts: ServiceParts,
    private readonly closers: Closers,
  ) {}

  static async start(options: DecisionServiceOptions): Promise<RunningService> {
    const closers: Closers = [];
    try {
      return await RunningService.open(options, closers);
    } catch (error) {
      await closeAll(closers);
      throw error;
    }
  }

  /** Whatever has to be closed, even if it fails, is in `closers`. */
  private static async open(options: DecisionServiceOptions, closers: Closers): Promise<RunningService> {
    const log = options.log ?? silentLogger();
    const registry = options.registry ?? createRegistry(false);
    const metrics = decisionMetrics(registry);
    const backend = await openBackend(options, { log, metrics });
    closers.unshift(() => backend.dispose());
    const history = hasConsole(options) ? new ActivityHistory() : undefined;
    const feed = new DecisionFeed(history);
    const openedLog = openLog(options.decisionLog ?? "off", backend, { log, metrics });
    closers.unshift(() => decisionLog.close());
    const decisionLog = options.admin === undefined ? openedLog : feed.beside(openedLog);
    const tracing = options.tracing && (await startTracing("sluice-decision", options.tracing, log));
    const { desk, file } = openDesk(options, { log, metrics });
    closers.unshift(
      () => file?.close(),
      () => desk.close(),
      () => tracing?.close(),
    );
    const engine = new DecisionEngine({ backend, log, metrics, decisionLog, tracing, people: desk });
    const service = new RunningService({ engine, backend, feed, history, desk }, closers);
    service.logsToStdout = decisionLog.toStdout;
    closers.push(async () => {
      service.stopAccepting();
      await service.shutdown(0);
    });
    await service.listen(options, { log, metrics }, registry);
    const watcher = watchPolicy(
      () => backend.watchedDirectories,
      () => engine.refresh(),
    );
    closers.push(() => watcher.close());
    log.info({ target: service.target, policy: backend.policy.id, digest: backend.policy.revision.digest }, "decision service listens");
    return service;
  }

  private async listen(options: DecisionServiceOptions, refusals: Refusals, registry: Registry): Promise<void> {
    const { engine, desk, feed } = this.parts;
    const local = options.listen.kind !== "tcp";
    const host: SessionHost = {
      closed: (session) => this.closeSession(session, refusals),
      hasConsole: hasConsole(options),
      enforced: (mount, report) => feed.enforced(mount, report),
    };
    const grpc = await startGrpcServer({
      handlers: {
        decide: decideHandler(engine, refusals),
        getCapabilities: capabilitiesHandler(engine),
        watch: watchHandler(engine),
        listPersonQuestions: listHandler(desk, local),
        answerPersonQuestion: answerHandler(desk, local),
        session: (stream) => this.openSession(new Session(stream, engine, refusals, host), refusals),
      },
      listen: options.listen,
      tls: options.tls,
      allowedUids: options.allowedUids ?? [process.geteuid?.() ?? 0, 0],
      onlyPid: options.onlyPid,
      log: refusals.log,
    });
    this.target = grpc.target;
    this.stopAccepting = grpc.stopAccepting;
    this.shutdown = grpc.shutdown;
    await this.listenBeside(options, refusals, registry);
  }

  private async listenBeside(options: DecisionServiceOptions, { log }: Refusals, registry: Registry): Promise<void> {
    if (options.authzen !== undefined) {
      const { address, url, token } = options.authzen;
      // Loaded only here, as the console: a mount waits for the start of its own service, which has neither.
      const { startAuthzenServer } = await import("./authzen/authzen-server.js");
      const authzen = await startAuthzenServer({ address, url, token, tls: options.tls, log }, this.parts.engine);
      this.authzenUrl = authzen.url;
      this.closers.push(() => authzen.close());
    }
    if (options.admin === undefined) return;
    const admin: AdminServer = await startAdminServer({
      address: options.admin,
      registry,
      notReady: () => (this.draining === undefined ? undefined : "draining"),
      also: await this.consoleFor(options, options.admin),
    });
    this.adminAddress = admin.address;
    this.closers.push(() => admin.close());
  }

  private async consoleFor(options: DecisionServiceOptions, address: string): Promise<AdminOptions["also"]> {
    const { backend, feed, history, desk } = this.parts;
    if (history === undefined) return undefined;
    const { policy, adminToken } = options;
    const { host } = parseHostPort(address, "--admin");
    const { sessions, startedMs } = this;
    const policyFile = typeof policy === "string" ? policy : undefined;
    const mounts = () => [...sessions].flatMap(({ peer }) => peer ?? []);
    const sampling = setInterval(() => sampleMounts(history, sessions), SAMPLE_MS).unref();
    this.closers.push(() => clearInterval(sampling));
    const lookAtMounts = (): void => {
      for (const session of sessions) session.lookAt();
    };
    const hasToken = adminToken !== undefined;
    const { Console } = await import("./console/console.js");
    const page = new Console(
      {
        backend,
        policyFile,
        mounts,
        lookAtMounts,
        history,
        startedMs,
        desk,
        hasToken,
        callBudgetS: options.consoleCallBudgetS,
        callProgram: options.consoleCallProgram,
      },
      feed,
      { host, token: adminToken },
    );
    return (request, response) => page.handle(request, response);
  }

  private openSession(session: Session, { metrics }: Refusals): void {
    this.sessions.add(session);
    metrics.sessions.set(this.sessions.size);
    if (this.draining !== undefined) session.goAway("the service is stopping");
  }

  private closeSession(session: Session, { metrics }: Refusals): void {
    this.sessions.delete(session);
    metrics.sessions.set(this.sessions.size);
  }

  status(): DecisionServiceStatus {
    const capabilities = this.parts.engine.capabilities();
    return {
      policyId: capabilities.policyId,
      capabilities,
      reloadFailure: this.parts.engine.failure?.message,
      sessions: this.sessions.size,
    };
  }

  drain(graceMs: number = DRAIN_MS): Promise<void> {
    this.draining ??= this.stop(graceMs);
    return this.draining;
  }

  private async stop(graceMs: number): Promise<void> {
    this.stopAccepting();
    for (const session of this.sessions) session.goAway("the service is stopping");
    // Whoever waits for a person is asked by another replica.
    this.parts.desk.close();
    await this.shutdown(graceMs);
    await closeAll(this.closers);
  }
}

/** Throws `CliError` if the policy has mistakes or the service cannot listen. */
export function startDecisionService(options: DecisionServiceOptions): Promise<DecisionService> {
  return RunningService.start(options);
}
