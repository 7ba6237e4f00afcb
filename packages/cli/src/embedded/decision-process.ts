/**
 * A process that answers for policies. It is started again, with all of them, whenever it ends, after a growing pause; it ends after the last
 * of them, or some time later. Before the first of them it is not started again.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { native, type Poller } from "@sluice/native";
import type { DecisionUser } from "@sluice/service-mount";
import { type DecisionsOptions, spawnDecisions } from "./child-process.js";
import type { OwnUser, SharedUser } from "./decision-user.js";
import { type HostedPolicy, sendPolicy, sendRecord } from "./hosted-policy.js";
import { PolicyFiles } from "./policy-files.js";
import { type KeepPolicy, MAX_POLICY_RECORD_BYTES, REHEARSAL } from "./policy-records.js";
import { RestartPause } from "./restart-pause.js";
import { type PolicyWord, readTaggedLines } from "./tagged-lines.js";

const GRACE_MS = 3_000;
/** The process reads a record in each turn. */
const NO_ROOM_MS = 20;

export interface ProcessOptions {
  user: OwnUser | SharedUser;
  /** Undefined: it traces nothing. */
  tracingEndpoint: string | undefined;
}

/** An attempt to have a policy served. */
interface Attempt {
  policy: HostedPolicy;
  /** Of the two streams: both tell its end. */
  ends: number;
}

interface Running {
  child: ChildProcess;
  socket: number;
  /** Of the socket: the process keeps policies there. */
  poller: Poller;
  attempts: Map<number, Attempt>;
  lastId: number;
}

/** Of a `KeepPolicy`; the process is not trusted with its form. */
function idIn(text: string): number {
  try {
    return Number((JSON.parse(text) as Partial<KeepPolicy> | null)?.id);
  } catch {
    return NaN;
  }
}

const openFiles = (socket: number, policyFile: string): PolicyFiles => new PolicyFiles(socket, policyFile);

export class DecisionProcess {
  /** Called if it has ended again soon after its start, with several policies. */
  unstable: () => void = () => undefined;
  readonly #options: ProcessOptions;
  readonly #policies = new Set<HostedPolicy>();
  readonly #ending = new AbortController();
  readonly #pause = new RestartPause();
  /** Called when the process has given back what it had of a policy. */
  readonly #whenEnded = new Map<HostedPolicy, () => void>();
  readonly #bytes = Buffer.alloc(MAX_POLICY_RECORD_BYTES);
  readonly #fds = new Int32Array(1);
  #running: Running | undefined;
  #state: "new" | "runs" | "pauses" | "over" = "new";
  #lingering: NodeJS.Timeout | undefined;

  constructor(options: ProcessOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#policies.size;
  }

  /** It may get another policy. */
  get isOpen(): boolean {
    return this.#state === "new" || this.#state === "runs";
  }

  get user(): OwnUser | SharedUser {
    return this.#options.user;
  }

  /** Starts it before its first policy is known. @throws if that is impossible */
  prepare(how: Pick<DecisionsOptions, "isAssigned" | "isEarly">): void {
    if (this.#state === "new") this.#start(how);
  }

  /** Of a process without a user: before its first policy. */
  assign(user: DecisionUser): void {
    if (this.#running !== undefined) sendRecord(this.#running.socket, { assign: user }, []);
  }

  /** Before its user is known: it serves the default policy of its program at this listening socket. @returns a function that ends that */
  rehearse(listenFd: number): () => void {
    const running = this.#running;
    if (running !== undefined) sendRecord(running.socket, { id: REHEARSAL, rehearse: true }, [listenFd]);
    return () => {
      if (running !== undefined && running === this.#running) sendRecord(running.socket, { id: REHEARSAL }, []);
    };
  }

  /** @throws if the process cannot be started */
  add(policy: HostedPolicy): void {
    clearTimeout(this.#lingering);
    this.#policies.add(policy);
    if (this.#state === "new") this.#start();
    else if (this.#running !== undefined) this.#send(policy, this.#running);
  }

  /** For another process, while this one does not run. */
  giveHalf(): HostedPolicy[] {
    const given = [...this.#policies].slice(this.#policies.size / 2);
    for (const policy of given) this.#policies.delete(policy);
    return given;
  }

  #start(how: Pick<DecisionsOptions, "isAssigned" | "isEarly"> = {}): void {
    const { user, tracingEndpoint } = this.#options;
    const { child, socket } = spawnDecisions(user, { tracingEndpoint, ...how });
    const running: Running = {
      ...{ child, socket, attempts: new Map<number, Attempt>(), lastId: 0 },
      poller: native.poll(socket, (status) => this.#keep(running, status)),
    };
    this.#running = running;
    this.#state = "runs";
    this.#pause.started();
    const word = (id: number, said: PolicyWord): void => this.#told(running, id, said);
    const policyOf = (id: number | undefined): HostedPolicy | undefined =>
      id === undefined ? undefined : running.attempts.get(id)?.policy;
    if (child.stdout !== null) readTaggedLines(child.stdout, { word, line: (id, line) => policyOf(id)?.options.writeDecision?.(line) });
    if (child.stderr !== null)
      readTaggedLines(child.stderr, { word, line: (id, line) => (id === undefined ? this.#ownLine(line) : policyOf(id)?.writeLine(line)) });
    let problem: string | undefined;
    child.once("error", (error) => {
      problem = `it cannot be started: ${error.message}`;
    });
    // "close" comes after its last line, also for a child that could not be started.
    child.once("close", (code, signal) => {
      this.#ended(running, problem ?? (signal === null ? `exit code ${code}` : `signal ${signal}`));
    });
    for (const policy of this.#policies) this.#send(policy, running);
  }

  /** A line of the process itself, such as of its crash, goes once to each log of its policies. */
  #ownLine(line: string): void {
    const logs = new Map([...this.#policies].map((policy) => [policy.options.logFile, policy]));
    for (const policy of logs.values()) policy.writeLine(line);
  }

  #send(policy: HostedPolicy, running: Running): void {
    if (this.#running !== running || !this.#policies.has(policy)) return;
    const id = ++running.lastId;
    policy.pause.started();
    running.attempts.set(id, { policy, ends: 0 });
    if (this.#isSent(policy, id, running.socket)) return;
    running.attempts.delete(id);
    setTimeout(() => this.#send(policy, running), NO_ROOM_MS).unref();
  }

  /** False also if this process has no descriptor left. */
  #isSent(policy: HostedPolicy, id: number, socket: number): boolean {
    try {
      return sendPolicy(socket, id, policy, this.user.kind === "own" ? openFiles : undefined);
    } catch {
      return false;
    }
  }

  #told(running: Running, id: number, word: PolicyWord): void {
    const attempt = running.attempts.get(id);
    if (attempt === undefined) return;
    const { policy } = attempt;
    if (word === "serves") {
      policy.served();
      return;
    }
    if (++attempt.ends < 2) return;
    running.attempts.delete(id);
    this.#whenEnded.get(policy)?.();
    if (word === "failed") this.#failed(policy, running);
  }

  /** The process says which policy is in force: one record in each turn. */
  #keep({ socket, attempts, poller }: Running, status: number): void {
    const got = status < 0 ? 0 : native.receiveMessage(socket, this.#bytes, this.#fds, 0);
    if (got === 0) poller.close();
    if (got <= 0) return;
    const [length, count] = [got % 65_536, Math.floor(got / 65_536) % 65_536];
    const fd = count === 1 ? (this.#fds[0] as number) : undefined;
    const policy = attempts.get(idIn(this.#bytes.toString("utf8", 0, length)))?.policy;
    if (policy !== undefined) policy.keep(fd);
    else if (fd !== undefined) native.close(fd);
  }

  #failed(policy: HostedPolicy, running: Running): void {
    if (!policy.stopped("the policy cannot be loaded")) {
      this.#policies.delete(policy);
      if (this.#policies.size === 0) void this.end();
      return;
    }
    const pauseMs = policy.pause.ended();
    policy.options.logger.warn({ policyFile: policy.options.policyFile, pauseMs }, "the policy cannot be loaded: it is tried again");
    setTimeout(() => this.#send(policy, running), pauseMs).unref();
  }

  #ended(running: Running, how: string): void {
    running.poller.close();
    native.close(running.socket);
    this.#running = undefined;
    for (const policy of this.#policies) if (!policy.stopped(how)) this.#policies.delete(policy);
    for (const ended of this.#whenEnded.values()) ended();
    if (this.#policies.size === 0) {
      this.#release();
      return;
    }
    this.#state = "pauses";
    const pauseMs = this.#pause.ended();
    const loggers = new Set([...this.#policies].map(({ options }) => options.logger));
    for (const logger of loggers) logger.warn({ how, pauseMs }, "the decision service ended: it is started again");
    if (this.#pause.quickEnds > 1 && this.#policies.size > 1) this.unstable();
    void this.#restart(pauseMs);
  }

  async #restart(pauseMs: number): Promise<void> {
    try {
      await sleep(pauseMs, undefined, { signal: this.#ending.signal });
    } catch {
      // The last mount is ending, too.
      return;
    }
    try {
      this.#start();
    } catch (error) {
      // Such as for want of descriptors.
      const next = this.#pause.ended();
      for (const { options } of this.#policies)
        options.logger.warn({ err: error, pauseMs: next }, "no decision service can be started now");
      void this.#restart(next);
    }
  }

  #release(): void {
    this.#state = "over";
    if (this.user.kind === "own") this.user.release();
  }

  /** The process answers what it was asked by this policy, and gives everything back. It waits `lingerMs` for a policy after its last one. */
  async remove(policy: HostedPolicy, lingerMs: number): Promise<void> {
    if (!this.#policies.delete(policy)) return;
    if (policy.everServed) policy.writeEarlyLines();
    const isLast = this.#policies.size === 0;
    const lingers = lingerMs > 0 && this.#state === "runs";
    if (isLast && lingers) this.#lingering = setTimeout(() => void this.end(), lingerMs).unref();
    if (isLast && !lingers) await this.end();
    else if (this.#running !== undefined) await this.#endPolicy(policy, this.#running);
    policy.closeFiles();
  }

  async #endPolicy(policy: HostedPolicy, running: Running): Promise<void> {
    const id = [...running.attempts].find(([, attempt]) => attempt.policy === policy)?.[0];
    if (id === undefined) return;
    const gone = new Promise<void>((resolve) => this.#whenEnded.set(policy, resolve));
    // A process that hangs ends with its last policy.
    if (sendRecord(running.socket, { id }, [])) await Promise.race([gone, sleep(GRACE_MS, undefined, { ref: false })]);
    this.#whenEnded.delete(policy);
    running.attempts.delete(id);
  }

  /** Sends SIGTERM, then SIGKILL if that does not help. */
  async end(): Promise<void> {
    if (this.#state === "over") return;
    this.#state = "over";
    clearTimeout(this.#lingering);
    this.#ending.abort();
    const child = this.#running?.child;
    if (child === undefined) {
      this.#release();
      return;
    }
    if (child.exitCode !== null || child.signalCode !== null) return;
    // Its last decisions come before that.
    const gone = once(child, "close");
    child.kill("SIGTERM");
    const late = sleep(GRACE_MS, "late" as const, { ref: false });
    if ((await Promise.race([gone, late])) === "late") child.kill("SIGKILL");
    await gone;
  }
}
