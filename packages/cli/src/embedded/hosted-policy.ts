/** A policy that a decision process answers for: its options, its files, and how far it has come. It outlives the process. */
import { CliError, EXIT, type Logger } from "@sluice/runtime";
import { check, native } from "@sluice/native";
import type { PolicyFiles } from "./policy-files.js";
import type { AssignUser, PolicyRecord, Rehearse } from "./policy-records.js";
import { RestartPause } from "./restart-pause.js";

export interface PolicyOptions {
  policyFile: string;
  /** Its listening socket, which stays open here: callers wait in its queue while the process is started again. */
  listenFd: number;
  askTimeoutMs: number | undefined;
  /** The file of people's answers; undefined: there is none. */
  answersFd: number | undefined;
  logLevel: string;
  /** An earlier one has served: then it is loaded again even if it cannot be loaded now. */
  takesOver: boolean;
  /** The file of its log; undefined: standard error. */
  logFile: string | undefined;
  /** Gets the lines of its log. */
  writeLine: (line: string) => void;
  /** Gets its decisions; undefined: it logs none. */
  writeDecision: ((line: string) => void) | undefined;
  logger: Logger;
}

export class HostedPolicy {
  readonly options: PolicyOptions;
  /** Resolves if it cannot be loaded and has never served; never with `takesOver`. */
  readonly failedToStart: Promise<Error>;
  /** Of the process that loads it or has it, if that has a user of its own. */
  files: PolicyFiles | undefined;
  /** Until it is loaded again. */
  readonly pause = new RestartPause();
  #everServed: boolean;
  /** Lines from before it has served: they may say no more than that the policy has a mistake. */
  #earlyLines: string[] | undefined;
  #tellFailure: (error: Error) => void = () => undefined;

  constructor(options: PolicyOptions) {
    this.options = options;
    this.#everServed = options.takesOver;
    this.#earlyLines = options.takesOver ? undefined : [];
    this.failedToStart = new Promise((resolve) => {
      this.#tellFailure = resolve;
    });
  }

  get everServed(): boolean {
    return this.#everServed;
  }

  served(): void {
    this.#everServed = true;
    this.writeEarlyLines();
  }

  writeLine(line: string): void {
    if (this.#earlyLines === undefined) this.options.writeLine(line);
    else this.#earlyLines.push(line);
  }

  writeEarlyLines(): void {
    const lines = this.#earlyLines ?? [];
    this.#earlyLines = undefined;
    for (const line of lines) this.options.writeLine(line);
  }

  closeFiles(): void {
    this.files?.close();
    this.files = undefined;
  }

  /** It does not serve, and the process has given back what it had. @returns false if it is over for good */
  stopped(how: string): boolean {
    this.closeFiles();
    if (this.#everServed) return true;
    const problem = `it ended before it served (${how})`;
    this.#tellFailure(new CliError({ object: "decision service", problem, remedy: "its own message is above", exitCode: EXIT.FAILED }));
    return false;
  }
}

/** @returns false if there is no room for a record at the moment, or nobody who reads it */
export function sendRecord(socket: number, record: PolicyRecord | AssignUser | Rehearse, fds: readonly number[]): boolean {
  const bytes = Buffer.from(JSON.stringify(record));
  return native.sendMessage(socket, bytes, bytes.length, Int32Array.from(fds), fds.length, 0) >= 0;
}

/** Has the process load the policy. `openFiles` is undefined if that reads the files itself. @returns as `sendRecord` */
export function sendPolicy(
  socket: number,
  id: number,
  policy: HostedPolicy,
  openFiles: ((socket: number, policyFile: string) => PolicyFiles) | undefined,
): boolean {
  const { policyFile, listenFd, logLevel, askTimeoutMs, answersFd, writeDecision } = policy.options;
  const pair = new Int32Array(2);
  if (openFiles !== undefined) check(native.seqpacketPair(pair), "make a pair of sockets for the files of a policy");
  const [ours, theirs] = pair as unknown as [number, number];
  const hasFiles = openFiles !== undefined;
  const hasAnswers = answersFd !== undefined;
  const begin = { policyFile, logLevel, askTimeoutMs, logsDecisions: writeDecision !== undefined, hasFiles, hasAnswers };
  const fds = [listenFd, ...(hasFiles ? [theirs] : []), ...(hasAnswers ? [answersFd] : [])];
  const files = openFiles?.(ours, policyFile);
  // Before the process can ask for it.
  files?.sendAhead();
  const sent = sendRecord(socket, { id, begin }, fds);
  if (files === undefined) return sent;
  native.close(theirs);
  if (sent) policy.files = files;
  else files.close();
  return sent;
}
