/** A policy that a decision process answers for: its options, its files, and how far it has come. It outlives the process. */
import { constants, fstatSync, openSync, readSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { CliError, EXIT, type Logger } from "@sluice/runtime";
import { check, native } from "@sluice/native";
import { Errno } from "@sluice/vfs";
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
  /** The path of a file for the policy in force, beside the socket; undefined: no edit can bring another one. */
  keptFile: string | undefined;
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

/** Twice the limit of a policy's file, in base64. */
const MAX_KEPT_BYTES = 44 << 20;

/** Reads no other file than one in memory: nothing else is there at once. @throws if it cannot be kept */
function writeKept(path: string, fd: number): void {
  check(fd, "get the policy in force");
  check(native.sealsOf(fd), "get the policy in force");
  if (fstatSync(fd).size > MAX_KEPT_BYTES) throw new RangeError(`its files are larger than ${MAX_KEPT_BYTES} bytes`);
  const bytes = Buffer.alloc(fstatSync(fd).size);
  const length = readSync(fd, bytes, 0, bytes.length, 0);
  writeFileSync(`${path}.next`, bytes.subarray(0, length), { mode: 0o600 });
  renameSync(`${path}.next`, path);
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

  /** Takes the memory file of a process over. The kept file has the policy in force, or there is none. */
  keep(fd: number | undefined): void {
    const { keptFile, logger, policyFile } = this.options;
    try {
      if (keptFile !== undefined) writeKept(keptFile, fd ?? -Errno.ENFILE);
    } catch (error) {
      rmSync(keptFile as string, { force: true });
      logger.warn({ err: error, policyFile }, "the policy in force cannot be kept: after a later edit with a mistake no service can start");
    } finally {
      if (fd !== undefined) native.close(fd);
    }
  }

  /** A descriptor of the file with the policy that was in force before; undefined if there is none. */
  openKept(): number | undefined {
    const { keptFile } = this.options;
    if (keptFile === undefined || !this.#everServed) return undefined;
    try {
      return openSync(keptFile, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch {
      return undefined;
    }
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
  const { policyFile, listenFd, logLevel, askTimeoutMs, answersFd, keptFile, writeDecision } = policy.options;
  const pair = new Int32Array(2);
  if (openFiles !== undefined) check(native.seqpacketPair(pair), "make a pair of sockets for the files of a policy");
  const [ours, theirs] = pair as unknown as [number, number];
  const hasFiles = openFiles !== undefined;
  const hasAnswers = answersFd !== undefined;
  const kept = policy.openKept();
  const has = { hasFiles, hasAnswers, hasKept: kept !== undefined, keeps: keptFile !== undefined };
  const begin = { policyFile, logLevel, askTimeoutMs, logsDecisions: writeDecision !== undefined, ...has };
  const fds = [listenFd, ...(hasFiles ? [theirs] : []), ...(hasAnswers ? [answersFd] : []), ...(kept === undefined ? [] : [kept])];
  const files = openFiles?.(ours, policyFile);
  // Before the process can ask for it.
  files?.sendAhead();
  const sent = sendRecord(socket, { id, begin }, fds);
  if (kept !== undefined) native.close(kept);
  if (files === undefined) return sent;
  native.close(theirs);
  if (sent) policy.files = files;
  else files.close();
  return sent;
}
