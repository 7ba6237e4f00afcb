/**
 * The process that answers for policies: each has its own socket, files, revision, log lines and decisions. The mount service names them one
 * after another (policy-records.ts). They share the event loop, so a policy that takes long delays the others, and share the end of the
 * process, which the mount service starts again.
 */
import { closeSync, readFileSync } from "node:fs";
import { check, everyThreadIsUser, memoryFileOf, native, POLL, type Poller, untilReadable } from "@sluice/native";
import {
  CliError,
  createLogger,
  errorLine,
  EXIT,
  logDestination,
  type LogLevel,
  type TracingOptions,
  tracingOptions,
} from "@sluice/runtime";
import { collectGarbage } from "@sluice/runtime/short-pauses";
import { type DecisionService, type LogSink, rehearse, startDecisionService } from "@sluice/service-decision";
import { PRESETS, presetFile } from "@sluice/service-decision/presets";
import { SOCKET_FD } from "./child-user.js";
import {
  type AssignUser,
  type BeginPolicy,
  type KeepPolicy,
  MAX_POLICY_RECORD_BYTES,
  type PolicyRecord,
  REHEARSAL,
  type Rehearse,
} from "./policy-records.js";
import { ServedDisk } from "./served-disk.js";
import { type PolicyWord, taggedLine, taggedWord } from "./tagged-lines.js";

const SIGTERM = 15;
const DRAIN_MS = 2_000;
/** Of a record: listening socket, socket for files, file of answers, policy that was in force before. */
const MOST_FDS = 4;
/** The mount service does nothing that takes long. */
const PATIENCE_MS = 10_000;

interface Parent {
  parentPid: number;
  tracing: TracingOptions | undefined;
}

interface Served {
  service: DecisionService;
  disk: ServedDisk | undefined;
}

const stderr = logDestination(undefined);

/** Resolves once standard output has taken it. Decisions and words of a policy are in order there. */
function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => process.stdout.write(text, (error) => (error instanceof Error ? reject(error) : resolve())));
}

/** A word that ends the policy follows its last lines on both streams. */
function tell(id: number, word: PolicyWord): void {
  const line = taggedWord(id, word);
  if (word !== "serves") stderr.write(line);
  // Without a reader the process is about to end.
  print(line).catch(() => undefined);
}

const decisionsOf = (id: number): LogSink => ({
  name: "stdout",
  write: (lines) => print(lines.map(({ text }) => taggedLine(id, `${text}\n`)).join("")),
  close: () => Promise.resolve(),
});

function messageOf(error: unknown): string {
  return errorLine(error instanceof CliError ? error.message : `decision service: ${String(error)}: this is a defect, please report it`);
}

/** A policy waits for it already. */
const isAwaited = (): boolean => (native.pollNow(SOCKET_FD, POLL.IN, 0) & POLL.IN) !== 0;

/** A policy of its own program, in the way in which it serves others. A failure hinders nobody. */
async function serveRehearsal(listenFd: number, onlyPid: number): Promise<DecisionService | undefined> {
  const policy = presetFile(PRESETS[0]) ?? "";
  // It is asked when the user is known.
  everyThreadIsUser(0, 0, []);
  try {
    return await startDecisionService({ policy, listen: { kind: "fd", fd: listenFd }, onlyPid, decisionLog: "off" });
  } catch {
    native.close(listenFd);
    return undefined;
  }
}

/**
 * Waits for the record that names the user, and becomes that user: every thread, for good. Its threads could get no new privileges from the
 * start, and it has no ring (UV_USE_IO_URING). Before, it serves no policy but one of its own program.
 * @returns false if the parent is gone. @throws if rights are left
 */
async function becomeAssigned(parentPid: number): Promise<boolean> {
  const bytes = Buffer.alloc(MAX_POLICY_RECORD_BYTES);
  const fds = new Int32Array(1);
  let rehearsal: Promise<DecisionService | undefined> | undefined;
  for (;;) {
    await untilReadable(SOCKET_FD);
    const got = native.receiveMessage(SOCKET_FD, bytes, fds, 0);
    if (got <= 0) return false;
    const record = JSON.parse(bytes.toString("utf8", 0, got % 65_536)) as AssignUser | Rehearse | { id: number };
    if ("rehearse" in record) rehearsal ??= serveRehearsal(fds[0] as number, parentPid);
    else if ("assign" in record) return becomeUser(record);
    // Its client has left. It holds nothing of a user, however long it takes to close.
    else if (record.id === REHEARSAL) void rehearsal?.then((service) => service?.drain(0)).then(collectGarbage);
    else throw new Error("the decision service's process got a policy before its user");
  }
}

/** @throws if rights are left */
function becomeUser({ assign: { uid, gid, groups } }: AssignUser): true {
  if (uid === 0) throw new Error("the decision service's process got no user");
  check(native.becomeUser(uid, gid, groups), "become the user of the decision service");
  if (!everyThreadIsUser(uid, gid, groups)) throw new Error("the decision service's process has rights left");
  // Its memory has questions about everybody's files: only root may read it.
  native.setDumpable(false);
  return true;
}

/** The mount service has a file that is older than this policy otherwise, so it waits for its room. */
function tellKept(id: number, files: string): void {
  const fd = memoryFileOf("policy", files);
  const bytes = Buffer.from(JSON.stringify({ id, keep: true } satisfies KeepPolicy));
  native.sendMessage(SOCKET_FD, bytes, bytes.length, Int32Array.of(fd), fd < 0 ? 0 : 1, PATIENCE_MS);
  if (fd >= 0) native.close(fd);
}

function readKept(fd: number): string {
  try {
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

class ServedPolicies {
  readonly #running = new Map<number, Promise<Served | undefined>>();
  readonly #parent: Parent;
  readonly #bytes = Buffer.alloc(MAX_POLICY_RECORD_BYTES);
  readonly #fds = new Int32Array(MOST_FDS);
  readonly #poller: Poller;
  #stop: () => void = () => undefined;
  /** Resolves when the process has to end. */
  readonly stopped = new Promise<void>((resolve) => (this.#stop = resolve));

  constructor(parent: Parent) {
    this.#parent = parent;
    for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, this.#stop);
    this.#poller = native.poll(SOCKET_FD, (status) => this.#take(status));
  }

  /** One record for each turn, so that those who are served already wait for one policy at most. */
  #take(status: number): void {
    const got = status < 0 ? 0 : native.receiveMessage(SOCKET_FD, this.#bytes, this.#fds, 0);
    if (got === 0) this.#stop();
    if (got <= 0) return;
    const record = JSON.parse(this.#bytes.toString("utf8", 0, got % 65_536)) as PolicyRecord;
    if (record.begin === undefined) void this.#end(record.id);
    else this.#running.set(record.id, this.#begin(record, [...this.#fds]));
  }

  async #begin({ id, begin }: BeginPolicy, fds: number[]): Promise<Served | undefined> {
    const { policyFile, logLevel, askTimeoutMs, logsDecisions, hasFiles, hasAnswers, hasKept, keeps } = begin;
    const listenFd = fds.shift() as number;
    const disk = hasFiles ? new ServedDisk(fds.shift() as number) : undefined;
    const answers = hasAnswers ? fds.shift() : undefined;
    const last = hasKept ? readKept(fds.shift() as number) : undefined;
    const keeping = keeps ? { last, keep: (files: string) => tellKept(id, files) } : undefined;
    const { parentPid: onlyPid, tracing } = this.#parent;
    const output = { write: (line: string) => stderr.write(taggedLine(id, line)) };
    try {
      const service = await startDecisionService({
        ...{ policy: policyFile, policyDisk: disk, listen: { kind: "fd", fd: listenFd }, onlyPid, askTimeoutMs, answers, tracing },
        keeping,
        decisionLog: logsDecisions ? { sink: decisionsOf(id) } : "off",
        log: createLogger({ name: "sluice-decision", level: logLevel as LogLevel, output }),
      });
      tell(id, "serves");
      return { service, disk };
    } catch (error) {
      stderr.write(taggedLine(id, messageOf(error)));
      disk?.close();
      // It fails before it listens, so both are open.
      native.close(listenFd);
      if (answers !== undefined) native.close(answers);
      this.#running.delete(id);
      tell(id, "failed");
      return undefined;
    }
  }

  async #end(id: number): Promise<void> {
    const served = await this.#running.get(id);
    if (served === undefined) return;
    this.#running.delete(id);
    await served.service.drain(DRAIN_MS);
    served.disk?.close();
    tell(id, "ended");
  }

  async end(): Promise<void> {
    this.#poller.close();
    await Promise.all([...this.#running.keys()].map((id) => this.#end(id)));
  }
}

export interface ServingOptions {
  parentPid: number;
  tracingEndpoint: string | undefined;
  /** The first record names its user. */
  isAssigned: boolean;
  /** Nobody waits for the first policy yet. */
  isEarly: boolean;
}

/** Returns when the mount service is gone or has ended this process, and everything is answered. */
export async function servePolicies({ parentPid, tracingEndpoint, isAssigned, isEarly }: ServingOptions): Promise<number> {
  // With the rights that it starts with it loads no policy but one of its own program.
  if (isEarly && !isAwaited()) await rehearse();
  if (isAssigned && !(await becomeAssigned(parentPid))) return EXIT.FAILED;
  native.setParentDeathSignal(SIGTERM);
  // The parent may have died before the kernel was told.
  if (process.ppid !== parentPid) return EXIT.FAILED;
  const policies = new ServedPolicies({ parentPid, tracing: tracingOptions(tracingEndpoint === undefined ? {} : { tracingEndpoint }) });
  await policies.stopped;
  // Nobody is left for its answers and their log, and the next process of the mounts needs the processors now. A collector gets its last spans.
  const isOrphan = process.ppid !== parentPid;
  if (isOrphan && tracingEndpoint === undefined) return EXIT.DONE;
  await policies.end();
  return EXIT.DONE;
}
