/**
 * The embedded default: a decision service in a child process, on a unix socket. The mount owns the socket and keeps it open, so that a dead
 * child can be replaced without a refused connection: callers wait in the socket's queue meanwhile.
 */
import { constants, existsSync, fstatSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { getSystemErrorName } from "node:util";
import { KEPT_POLICY, RUN_DIRECTORY } from "@sluice/mount-control";
import { native, toBytes } from "@sluice/native";
import { CliError, EXIT, logDestination } from "@sluice/runtime";
import { codeOf, wrong } from "@sluice/runtime/cli";
import { watchPolicy } from "@sluice/service-decision/policy-watch";
import type { DecisionHost, DecisionUser, EmbeddedDecisionOptions, StartEmbeddedDecision } from "@sluice/service-mount";
import { policyMistake } from "./check-policy.js";
import { DecisionProcesses } from "./decision-processes.js";
import type { OwnUser, SharedUser } from "./decision-user.js";
import { FileWatch } from "./file-watch.js";
import { HostedPolicy, type PolicyOptions } from "./hosted-policy.js";
import { openPolicyFile, openToWatch } from "./open-policy-file.js";
import { ENTRY } from "./policy-file-records.js";
import type { AssignedProcess } from "./ready-process.js";

const ROOT = 0;
const SOCKET = "decision.sock";
/** The claims of uids are beside the directory of each mount. */
const READY_DIRECTORY = join(RUN_DIRECTORY, "ready");
const BACKLOG = 64;
/** As for the directory of mounts' sockets. */
const OTHERS_ENTER = 0o711;

/** Of the process with this number. */
const REHEARSAL = /^rehearsal-(\d+)(\.sock)?$/;

/** A service that ends kills processes that rehearse, with their sockets and directories. */
function removeRehearsals(): void {
  for (const name of readdirSync(RUN_DIRECTORY)) {
    const pid = REHEARSAL.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(RUN_DIRECTORY, name), { recursive: true, force: true });
  }
}

function listen(path: string): number {
  rmSync(path, { force: true });
  // The path has only hexadecimal digits and system directories, or was checked when the directory was created.
  const fd = native.unixListen(toBytes(path), 0o600, BACKLOG);
  if (fd >= 0) return fd;
  throw new CliError({
    object: path,
    problem: "the decision service's socket cannot be made",
    errno: getSystemErrorName(fd),
    remedy: "make /run writable or set XDG_RUNTIME_DIR",
    exitCode: EXIT.FAILED,
  });
}

function openAnswersFile(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw wrong(`--answers ${path}`, `the file cannot be opened (${codeOf(error)})`, "name a regular file in a directory of this user");
  }
}

/** Everybody who may write the file could answer, so only its owner may. The service inherits the descriptor. */
function openAnswers({ answersFile, answersFd }: EmbeddedDecisionOptions): number | undefined {
  if (answersFile === undefined && answersFd === undefined) return undefined;
  const object = `--answers ${answersFile ?? ""}`.trim();
  const fd = answersFd === undefined ? openAnswersFile(answersFile as string) : native.dupfd(answersFd);
  if (fd < 0) throw wrong(object, `the file cannot be opened (errno ${-fd})`, "raise the limit of open files");
  const stat = fstatSync(fd);
  if (stat.isFile() && (stat.mode & 0o022) === 0) return fd;
  native.close(fd);
  throw wrong(object, "it is no regular file, or others than its owner may write it (EPERM)", "chmod 600 it, after a look at its content");
}

/** The policy file; in a directory the file that a policy begins with. */
function entryOf(policy: string): string {
  return statSync(policy, { throwIfNoEntry: false })?.isDirectory() === true ? join(policy, ENTRY) : policy;
}

/** The user who controls the policy's file; undefined if the file cannot be opened. */
function ownerOf(policy: string): number | undefined {
  let opened = openPolicyFile(policy, ROOT);
  if (opened.kind === "directory") opened = openPolicyFile(join(policy, ENTRY), ROOT);
  if (opened.kind !== "file") return undefined;
  native.close(opened.fd);
  return opened.owner;
}

/** The reason why the policy could not be loaded. The words of its process are written only if the policy has no mistake. */
async function reasonOf(policy: HostedPolicy, user: OwnUser | SharedUser): Promise<Error> {
  const error = await policy.failedToStart;
  const mistake = await policyMistake(policy.options.policyFile, user);
  if (mistake === undefined) policy.writeEarlyLines();
  return mistake ?? error;
}

/** Gives descriptors and log files of a policy back, in the reverse order. */
class Belongings {
  readonly #steps: (() => void)[] = [];

  add<T>(thing: T, giveBack: (thing: T) => void): T {
    this.#steps.push(() => giveBack(thing));
    return thing;
  }
  giveBack(): void {
    for (const step of this.#steps.reverse()) step();
  }
}

/** A policy in the directory was put there for this mount, and nobody edits it. */
function keptFileOf({ policyFile, runDirectory }: EmbeddedDecisionOptions): string | undefined {
  return dirname(policyFile) === runDirectory ? undefined : join(runDirectory, KEPT_POLICY);
}

function policyOptions(options: EmbeddedDecisionOptions, path: string, belongings: Belongings): PolicyOptions {
  const { policyFile, logLevel, logFile, decisionLog, takesOver, askTimeoutMs, logger } = options;
  const close = (fd: number): void => void native.close(fd);
  const opened = openAnswers(options);
  const answersFd = opened === undefined ? undefined : belongings.add(opened, close);
  // The file of the socket goes with the run directory: the next mount there may have one by now.
  const listenFd = belongings.add(listen(path), close);
  const log = belongings.add(logDestination(logFile), (output) => output.close());
  const decisions = decisionLog === undefined ? undefined : belongings.add(logDestination(decisionLog), (output) => output.close());
  return {
    ...{ policyFile, listenFd, askTimeoutMs, answersFd, logLevel, logFile, takesOver, logger, keptFile: keptFileOf(options) },
    writeLine: (line) => log.write(line),
    writeDecision: decisions === undefined ? undefined : (line) => decisions.write(line),
  };
}

/** The embedded decision services of this process. */
export class EmbeddedDecisions {
  readonly #processes = new DecisionProcesses();
  #assigned: AssignedProcess | undefined;

  /** It is started, though it may not serve yet, when the promise of its host resolves. */
  readonly start: StartEmbeddedDecision = async (options) => {
    const belongings = new Belongings();
    try {
      return await start(this.#processes, options, belongings);
    } catch (error) {
      belongings.giveBack();
      throw error;
    }
  };

  /** As in `ReadyDecisions`. */
  keep(): void {
    this.#processes.keepReady(READY_DIRECTORY);
  }

  prepare(count: number): void {
    this.#processes.prepare(count, READY_DIRECTORY);
  }

  countForNext(tell: (count: number) => void): void {
    this.#processes.countForNext(tell);
  }

  startNext(): Promise<void> {
    return this.#processes.startNext(READY_DIRECTORY);
  }

  keepForUser(): void {
    this.#assigned = this.#processes.keepAssigned();
  }

  /** As in `ReadyDecisions`. */
  async rehearse(use: (target: string) => Promise<void>): Promise<void> {
    mkdirSync(RUN_DIRECTORY, { recursive: true, mode: OTHERS_ENTER });
    removeRehearsals();
    const path = join(RUN_DIRECTORY, `rehearsal-${process.pid}.sock`);
    const fd = listen(path);
    const end = this.#assigned?.rehearse(fd);
    try {
      if (end !== undefined) await use(`unix://${path}`);
    } finally {
      end?.();
      native.close(fd);
      rmSync(path, { force: true });
    }
  }

  assign(user: DecisionUser): void {
    this.#assigned?.assign(user);
  }

  end(): Promise<void> {
    return this.#processes.end();
  }
}

async function start(processes: DecisionProcesses, options: EmbeddedDecisionOptions, belongings: Belongings): Promise<DecisionHost> {
  const { policyFile, runDirectory, tracingEndpoint } = options;
  const path = join(runDirectory, SOCKET);
  const policy = new HostedPolicy(policyOptions(options, path, belongings));
  const hosting = await processes.host(policy, { owner: ownerOf(policyFile), tracingEndpoint }, runDirectory);
  const { user } = hosting;
  // A process with our uid reads and watches the files itself.
  const ownWatch = user.kind === "shared" ? new FileWatch(entryOf(policyFile), openToWatch) : undefined;
  const watcher = watchPolicy(
    () => policy.files?.directories() ?? [],
    () => policy.files?.hint(),
  );
  return {
    target: `unix://${path}`,
    failedToStart: reasonOf(policy, user),
    policyTouched: () => (policy.files ?? ownWatch)?.touched() ?? true,
    unprotected: user.kind === "shared" ? user.why : undefined,
    close: async () => {
      watcher.close();
      await hosting.end();
      belongings.giveBack();
    },
  };
}
