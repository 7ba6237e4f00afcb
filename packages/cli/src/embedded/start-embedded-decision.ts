/**
 * The embedded default: a decision service as a child process on a unix socket. The mount owns the socket and keeps it open, so that it can
 * replace a dead child without a refused connection: callers wait in the socket's queue meanwhile.
 */
import { constants, fstatSync, openSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { native, toBytes } from "@sluice/native";
import { CliError, EXIT, logDestination } from "@sluice/runtime";
import { codeOf, wrong } from "@sluice/runtime/cli";
import { watchPolicy } from "@sluice/service-decision/policy-watch";
import type { DecisionHost, EmbeddedDecisionOptions } from "@sluice/service-mount";
import { policyMistake } from "./check-policy.js";
import { chooseDecisionUser } from "./decision-user.js";
import { FileWatch } from "./file-watch.js";
import { SupervisedChild, type SupervisedChildOptions } from "./supervised-child.js";
import { openToWatch } from "./open-policy-file.js";
import { ENTRY } from "./policy-file-records.js";

const SOCKET = "decision.sock";
const BACKLOG = 64;

function listen(path: string): number {
  rmSync(path, { force: true });
  // The path has only hexadecimal digits and system directories, or was checked when the directory was created.
  const fd = native.unixListen(toBytes(path), 0o600, BACKLOG);
  if (fd >= 0) return fd;
  throw new CliError({
    object: path,
    problem: `the decision service's socket cannot be made (errno ${-fd})`,
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

/** The reason why the child could not start. Its own words are written only if its policy has no mistake. */
async function reasonOf(child: SupervisedChild, { policyFile, user }: SupervisedChildOptions): Promise<Error> {
  const error = await child.failedToStart;
  const mistake = await policyMistake(policyFile, user);
  if (mistake === undefined) child.writeEarlyLines();
  return mistake ?? error;
}

/** Gives descriptors, claims and log files of a decision service back, in the reverse order. */
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

async function childOptions(options: EmbeddedDecisionOptions, belongings: Belongings): Promise<SupervisedChildOptions & { path: string }> {
  const { policyFile, runDirectory, logLevel, logFile, decisionLog, tracingEndpoint, takesOver, askTimeoutMs } = options;
  const close = (fd: number): void => void native.close(fd);
  const user = await chooseDecisionUser(runDirectory);
  if (user.kind === "own") belongings.add(user, (own) => own.release());
  const opened = openAnswers(options);
  const answersFd = opened === undefined ? undefined : belongings.add(opened, close);
  const path = join(runDirectory, SOCKET);
  // The file of the socket goes with the run directory: the next mount there may have one by now.
  const listenFd = belongings.add(listen(path), close);
  const log = belongings.add(logDestination(logFile), (output) => output.close());
  const decisions = decisionLog === undefined ? undefined : belongings.add(logDestination(decisionLog), (output) => output.close());
  return {
    ...{ path, policyFile, user, listenFd, askTimeoutMs, answersFd, logLevel, tracingEndpoint, takesOver },
    writeLine: (line) => log.write(line),
    logsDecisions: decisions !== undefined,
    writeDecision: decisions === undefined ? undefined : (line) => decisions.write(line),
  };
}

/** Resolves when the child is started; it may not serve yet. `failedToStart` tells of a mistake in its policy. */
export async function startEmbeddedDecision(options: EmbeddedDecisionOptions): Promise<DecisionHost> {
  const belongings = new Belongings();
  try {
    return await start(options, belongings);
  } catch (error) {
    belongings.giveBack();
    throw error;
  }
}

async function start(given: EmbeddedDecisionOptions, belongings: Belongings): Promise<DecisionHost> {
  const { path, ...options } = await childOptions(given, belongings);
  const { user, policyFile } = options;
  const child = new SupervisedChild(options, given.logger);
  // A child with our uid reads and watches the files itself.
  const ownWatch = user.kind === "shared" ? new FileWatch(entryOf(policyFile), openToWatch) : undefined;
  const watcher = watchPolicy(
    () => child.files?.directories() ?? [],
    () => child.files?.hint(),
  );
  return {
    target: `unix://${path}`,
    failedToStart: reasonOf(child, options),
    policyTouched: () => (child.files ?? ownWatch)?.touched() ?? true,
    unprotected: user.kind === "shared" ? user.why : undefined,
    close: async () => {
      watcher.close();
      await child.end();
      belongings.giveBack();
    },
  };
}
