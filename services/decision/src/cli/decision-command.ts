/** `sluice decision`: the decision service in a process of its own. */
import { native } from "@sluice/native";
import { CliError, createLogger, createRegistry, EXIT, LOG_LEVELS, type LogLevel } from "@sluice/runtime";
import { type Command, Option } from "commander";
import type { DecisionLogTarget } from "../audit/decision-log.js";
import { type DecisionService, startDecisionService } from "../decision-service.js";
import { type ListenTarget, parseListenTarget } from "../grpc/listen-target.js";
import type { TlsFiles } from "../grpc/tls.js";

interface DecisionFlags {
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
  parentDeath?: string | true;
  logLevel: LogLevel;
  logFile?: string;
}

const SIGTERM = 15;
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
  const { tlsCert: certFile, tlsKey: keyFile, tlsClientCa: clientCaFile } = flags;
  if (certFile === undefined && keyFile === undefined && clientCaFile === undefined) return undefined;
  if (listen.kind !== "tcp") throw usage("--tls-cert", "TLS is for TCP", "leave it out: a unix socket knows its callers");
  if (certFile === undefined || keyFile === undefined)
    throw usage("--tls-cert", "certificate and key belong together", "give --tls-cert and --tls-key");
  return { certFile, keyFile, clientCaFile };
}

function decisionLogTarget({ decisionLog, decisionLogConfig }: DecisionFlags): DecisionLogTarget {
  if (decisionLogConfig === undefined) {
    const text = decisionLog ?? "off";
    return text === "off" || text === "stdout" ? text : { file: text };
  }
  if (decisionLog !== undefined) throw usage("--decision-log-config", "it excludes --decision-log", "give one of them");
  return { config: decisionLogConfig };
}

/**
 * Ends this process with its parent. The parent may have died before the kernel was told: then this process has another
 * parent by now than it should have.
 */
function followParent(flag: string | true, parentAtStart: number): void {
  const expected = flag === true ? parentAtStart : wholeNumber(flag, "--parent-death");
  native.setParentDeathSignal(SIGTERM);
  if (process.ppid !== expected)
    throw new CliError({
      object: "--parent-death",
      problem: "the parent has ended already",
      remedy: "start both again",
      exitCode: EXIT.FAILED,
    });
}

/** Resolves when a signal to stop has come and everything is answered. */
function untilStopped(service: DecisionService): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => void service.drain(DRAIN_MS).then(resolve, reject);
    process.once("SIGTERM", stop);
    process.once("SIGINT", stop);
  });
}

async function run(flags: DecisionFlags): Promise<void> {
  if (flags.parentDeath !== undefined) followParent(flags.parentDeath, process.ppid);
  if (flags.policy === undefined) throw usage("--policy", "option is missing", "write --policy FILE");
  const listen = listenTarget(flags);
  const tls = tlsFiles(flags, listen);
  const service = await startDecisionService({
    policy: flags.policy,
    listen,
    tls,
    allowedUids: flags.allowUid?.map((uid) => wholeNumber(uid, "--allow-uid")),
    admin: flags.admin,
    decisionLog: decisionLogTarget(flags),
    log: createLogger({ name: "sluice-decision", level: flags.logLevel, file: flags.logFile }),
    registry: createRegistry(true),
  });
  const stopped = untilStopped(service);
  // The line that whoever started it waits for; with the decision log on stdout it goes to the log alone.
  if (!service.logsToStdout) process.stdout.write(`deciding at ${service.target}\n`);
  await stopped;
}

export function addDecisionCommand(program: Command): void {
  program
    .command("decision")
    .description("run the decision service alone")
    .option("--policy <file>", "the policy, of any kind, or a directory with policy.yaml; an edit holds for the next question")
    .option("--listen <target>", "unix:///PATH (mode 0600) or HOST:PORT")
    .option("--listen-fd <n>", "a listening unix socket that was inherited, instead of --listen")
    .option("--allow-uid <uid...>", "who may connect to the unix socket (default: this user and root)")
    .option("--admin <host:port>", "serve /metrics, /healthz and /readyz")
    .option("--decision-log <target>", "one JSON line for each decision: FILE, stdout or off (default off)")
    .option("--decision-log-config <file>", "the same as a file says: several sinks, rotation, masks, what is left out, back-pressure")
    .option("--tls-cert <file>", "certificate (PEM), for TCP")
    .option("--tls-key <file>", "its key (PEM)")
    .option("--tls-client-ca <file>", "ask clients for a certificate of this authority")
    .addOption(new Option("--parent-death [pid]", "end when the parent ends").hideHelp())
    .addOption(new Option("--log-level <level>", "how much to log").choices(LOG_LEVELS).default("info"))
    .option("--log-file <file>", "log to a file instead of standard error")
    .action(run);
}
