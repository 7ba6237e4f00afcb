/** Runs `sluice decision`: the decision service in a process of its own. */
import { readFileSync } from "node:fs";
import { parseDurationMs } from "@sluice/decision-api";
import { CliError, createLogger, EXIT, type LogLevel, type TracingArguments, tracingOptions } from "@sluice/runtime";
import { createRegistry } from "@sluice/runtime/metrics";
import type { DecisionLogTarget } from "../audit/decision-log.js";
import { type DecisionService, type DecisionServiceOptions, startDecisionService } from "../decision-service.js";
import { type ListenTarget, parseListenTarget } from "../grpc/listen-target.js";
import type { TlsFiles } from "../grpc/tls-files.js";

export interface DecisionFlags extends TracingArguments {
  policy?: string;
  listen?: string;
  listenFd?: string;
  allowUid?: string[];
  admin?: string;
  decisionLog?: string;
  decisionLogConfig?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsClientCa?: string;
  tlsClientSan?: string[];
  authzen?: string;
  authzenUrl?: string;
  authzenTokenFile?: string;
  adminTokenFile?: string;
  askTimeout?: string;
  answers?: string;
  logLevel: LogLevel;
  logFile?: string;
}

/** A mount waits no longer. */
const LONGEST_ASK_MS = 3_600_000;
const DRAIN_MS = 2_000;

function usage(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: EXIT.USAGE });
}

function wholeNumber(text: string, option: string): number {
  if (!/^\d{1,10}$/.test(text)) throw usage(`${option} ${text}`, "it is not a whole number", "write one");
  return Number(text);
}

function listenTarget(flags: DecisionFlags): ListenTarget {
  if (flags.listen !== undefined && flags.listenFd !== undefined) throw usage("--listen-fd", "it excludes --listen", "give one of them");
  if (flags.listenFd !== undefined) return { kind: "fd", fd: wholeNumber(flags.listenFd, "--listen-fd") };
  if (flags.listen === undefined)
    throw usage("--listen", "option is missing", "write --listen unix:///run/sluice/decision.sock or --listen HOST:PORT");
  return parseListenTarget(flags.listen);
}

function tlsFiles(flags: DecisionFlags, listen: ListenTarget): TlsFiles | undefined {
  const { tlsCert: certFile, tlsKey: keyFile, tlsClientCa: clientCaFile, tlsClientSan: clientSans = [] } = flags;
  if (clientSans.length > 0 && clientCaFile === undefined)
    throw usage("--tls-client-san", "names are in certificates, and none is asked for", "give --tls-client-ca");
  const unnamed = clientSans.find((name) => !/^(URI|DNS|IP Address|email):./.test(name));
  if (unnamed !== undefined) throw usage(`--tls-client-san ${unnamed}`, "it is no name of a certificate", "write URI:… or DNS:…");
  if (certFile === undefined && keyFile === undefined && clientCaFile === undefined) return undefined;
  if (listen.kind !== "tcp" && flags.authzen === undefined)
    throw usage("--tls-cert", "TLS is for TCP", "leave it out: a unix socket knows its callers");
  if (certFile === undefined || keyFile === undefined)
    throw usage("--tls-cert", "certificate and key belong together", "give --tls-cert and --tls-key");
  return { certFile, keyFile, clientCaFile, clientSans };
}

function tokenIn(file: string, option = "--authzen-token-file"): string {
  try {
    const token = readFileSync(file, "utf8").trim();
    if (/^[ -~]+$/.test(token)) return token;
    if (token !== "") throw usage(`${option} ${file}`, "no HTTP header can carry its content", "write one line of ASCII into it");
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw usage(`${option} ${file}`, `file cannot be read (${(cause as NodeJS.ErrnoException).code})`, "correct the name");
  }
  throw usage(`${option} ${file}`, "file is empty", "write the token into it");
}

function adminToken({ admin, adminTokenFile }: DecisionFlags): string | undefined {
  if (adminTokenFile === undefined) return undefined;
  if (admin === undefined) throw usage("--admin-token-file", "it is of the console, and none is served", "add --admin HOST:PORT");
  return tokenIn(adminTokenFile, "--admin-token-file");
}

function authzenOptions({ authzen: address, authzenUrl: url, authzenTokenFile }: DecisionFlags): DecisionServiceOptions["authzen"] {
  if (address !== undefined) return { address, url, token: authzenTokenFile === undefined ? undefined : tokenIn(authzenTokenFile) };
  if (url === undefined && authzenTokenFile === undefined) return undefined;
  throw usage("--authzen-url/-token-file", "they say how AuthZEN is served, and it is not", "add --authzen HOST:PORT");
}

function decisionLogTarget({ decisionLog, decisionLogConfig }: DecisionFlags): DecisionLogTarget {
  if (decisionLogConfig === undefined) {
    const text = decisionLog ?? "off";
    return text === "off" || text === "stdout" ? text : { file: text };
  }
  if (decisionLog !== undefined) throw usage("--decision-log-config", "it excludes --decision-log", "give one of them");
  return { config: decisionLogConfig };
}

function askOptions({ askTimeout, answers }: DecisionFlags): Pick<DecisionServiceOptions, "askTimeoutMs" | "answers"> {
  const askTimeoutMs = askTimeout === undefined ? undefined : parseDurationMs(askTimeout);
  if (askTimeout !== undefined && (askTimeoutMs === undefined || askTimeoutMs > LONGEST_ASK_MS))
    throw usage(`--ask-timeout ${askTimeout}`, "it is no duration of at most an hour", "write one such as 60s or 10m");
  return { askTimeoutMs, answers };
}

/** Resolves when a signal to stop has come and everything is answered. */
function untilStopped(service: DecisionService): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => void service.drain(DRAIN_MS).then(resolve, reject);
    process.once("SIGTERM", stop);
    process.once("SIGINT", stop);
  });
}

function announcement({ target, authzenUrl }: DecisionService): string {
  return `deciding at ${target}\n${authzenUrl === undefined ? "" : `AuthZEN at ${authzenUrl}\n`}`;
}

export async function runDecision(flags: DecisionFlags): Promise<void> {
  if (flags.policy === undefined) throw usage("--policy", "option is missing", "write --policy FILE");
  const listen = listenTarget(flags);
  const tls = tlsFiles(flags, listen);
  const service = await startDecisionService({
    policy: flags.policy,
    listen,
    tls,
    allowedUids: flags.allowUid?.map((uid) => wholeNumber(uid, "--allow-uid")),
    admin: flags.admin,
    adminToken: adminToken(flags),
    authzen: authzenOptions(flags),
    ...askOptions(flags),
    decisionLog: decisionLogTarget(flags),
    tracing: tracingOptions(flags),
    log: createLogger({ name: "sluice-decision", level: flags.logLevel, file: flags.logFile }),
    // The event loop's lag is sampled a hundred times a second, asleep or not: only on request.
    registry: createRegistry(flags.admin !== undefined),
  });
  const stopped = untilStopped(service);
  // The line that whoever started it waits for; with the decision log on stdout it goes to the log alone.
  if (!service.logsToStdout) process.stdout.write(announcement(service));
  await stopped;
}
