/**
 * One server: its process and the link to it, from its start to its end. It loads its modules and then waits: before `serve` it has no
 * access to a mount, and the keeper does nothing that it asks for.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { isZombie, type KeeperInfo } from "@sluice/keeper-link";
import { memoryFileOf, native } from "@sluice/native";
import type { Held, Link } from "./held.js";
import { SERVER_FDS, type ServerProgram } from "./keeper-config.js";
import type { StartedServer, UnassignedServer } from "./unassigned-server.js";

/** A server that closed its end of the link should exit within this; otherwise it is killed. */
const EXIT_LIMIT_MS = 20_000;
/** A server notices by itself that the connection has ended, and gives waiting requests five seconds. */
export const OVER_LIMIT_MS = 6_500;
export const LOOK_MS = 500;
/** A process that the server left behind may go on sending. */
const READ_LIMIT_MS = 10_000;

export interface ServerEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  served: boolean;
  servedMs: number;
  handedOver: boolean;
  /** The keeper had to kill it. */
  forced: boolean;
  /** It could not be started at all. */
  failure: string | undefined;
}

/** The same for every server of a keeper. */
export interface ServerSetup {
  held: Held;
  /** Passed to it unread. */
  serverConfig: string;
  /** The user that it runs as; undefined: the keeper's. */
  user?: { uid: number; gid: number } | undefined;
  /** It is started as the keeper, and becomes that user, unless setpriv(1) can start it with these groups. */
  becomesUser?: boolean;
  groups?: readonly number[] | undefined;
  /** The socket by which a service gets its clients, and the ends by which it passes some on to its other processes. */
  listenFd?: number;
  passFds?: readonly number[];
  /** Other descriptors for the server of one mount. */
  handed?: readonly number[];
  /** Called when a server has let go of a mount whose connection is over. Its process may need some time to end. */
  onOver?: () => void;
}

const SETPRIV = ["/usr/bin/setpriv", "/bin/setpriv"].find((path) => existsSync(path));

/** Node sets no supplementary groups for a child. A server that took them itself would have to start a second time. */
function asUser({ file, argv }: ServerProgram, { user, becomesUser, groups }: ServerSetup): ServerProgram {
  if (becomesUser !== true || user === undefined || groups === undefined || SETPRIV === undefined) return { file, argv };
  const ids = [`--reuid=${user.uid}`, `--regid=${user.gid}`, groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`];
  return { file: SETPRIV, argv: ["--no-new-privs", ...ids, "--", file, ...argv] };
}

function launch(setup: ServerSetup, program: ServerProgram, linkFd: number, configFd: number): ChildProcess {
  const { user, becomesUser, listenFd, passFds = [], handed = [] } = setup;
  const { file, argv } = asUser(program, setup);
  const stdio: (number | "ignore" | "inherit")[] = ["ignore", "inherit", "inherit"];
  stdio[SERVER_FDS.link] = linkFd;
  stdio[SERVER_FDS.config] = configFd;
  if (listenFd !== undefined) stdio[SERVER_FDS.listen] = listenFd;
  for (const [at, fd] of passFds.entries()) stdio[SERVER_FDS.pass + at] = fd;
  for (const [at, fd] of handed.entries()) stdio[SERVER_FDS.handed + at] = fd;
  return spawn(file, argv, {
    cwd: "/",
    stdio,
    // A session of its own: Ctrl-C at the terminal is for the keeper alone.
    detached: true,
    ...(user === undefined || becomesUser === true ? {} : user),
  });
}

function start(setup: ServerSetup, program: ServerProgram): StartedServer {
  const pair = new Int32Array(2);
  const made = native.seqpacketPair(pair);
  const configFd = memoryFileOf("sluice-config", setup.serverConfig);
  if (made < 0 || configFd < 0) throw new Error(`no socket or memory for a server (errno ${-Math.min(made, configFd)})`);
  const [link, theirs] = pair as unknown as [number, number];
  const child = launch(setup, program, theirs, configFd);
  for (const fd of [theirs, configFd]) native.close(fd);
  return { child, link };
}

export class ServerProcess {
  readonly ended: Promise<ServerEnd>;
  /** Resolves when it reports that it has loaded. */
  readonly loaded: Promise<void>;
  /** Resolves when it reports that it serves. */
  readonly ready: Promise<void>;
  readonly program: ServerProgram;
  readonly #child: ChildProcess;
  readonly #link: Link;
  readonly #held: Held;
  #hasLoaded = false;
  #readyMs: number | undefined;
  #handedOver = false;
  #forced = false;
  #limit: NodeJS.Timeout | undefined;
  /** A timer instead of a poll of the device, which would wake the keeper at each request. */
  #look: NodeJS.Timeout | undefined;
  #over = false;
  #wasDead = false;
  #end: (code: number | null, signal: NodeJS.Signals | null, failure: string | undefined) => void = () => undefined;

  /** `unassigned` is a process of this program with the mount of `setup`, if one is there already. */
  constructor(setup: ServerSetup, program: ServerProgram, unassigned?: UnassignedServer) {
    const { child, link } = unassigned?.take() ?? start(setup, program);
    this.program = program;
    this.#held = setup.held;
    this.#child = child;
    let onLoaded: () => void = () => undefined;
    this.loaded = new Promise((resolve) => {
      onLoaded = resolve;
    });
    let onReady: () => void = () => undefined;
    this.ready = new Promise((resolve) => {
      onReady = resolve;
    });
    this.#link = setup.held.connect(link, {
      loaded: () => {
        this.#hasLoaded = true;
        onLoaded();
      },
      ready: () => {
        this.#readyMs ??= Date.now();
        onReady();
      },
      handOver: () => {
        this.#handedOver = true;
      },
      lost: () => {
        this.#endWithin(EXIT_LIMIT_MS);
        if (setup.held.connectionOver) setup.onOver?.();
      },
      stuck: () => this.signal("SIGKILL"),
    });
    this.ended = this.#watch();
  }

  /** Hands everything over to it. Call it once. */
  serve(info: KeeperInfo): void {
    if (this.#over) return;
    this.#look = setInterval(() => {
      if (this.#held.connectionOver) this.#endWithin(OVER_LIMIT_MS);
      this.#lookForRemains();
    }, LOOK_MS);
    this.#link.greet(info);
  }

  get hasLoaded(): boolean {
    return this.#hasLoaded;
  }

  get over(): boolean {
    return this.#over;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  signal(signal: NodeJS.Signals): void {
    if (signal === "SIGKILL") this.#forced = true;
    this.#child.kill(signal);
  }

  drain(): void {
    this.#link.drain();
  }

  #endWithin(ms: number): void {
    if (this.#over) return;
    this.#limit ??= setTimeout(() => this.signal("SIGKILL"), ms);
  }

  /**
   * Node may never report the end of a killed server: one of its threads may wait in the kernel for a page that the server itself should
   * have read, until the next server answers. The keeper acts at the second look, so that a normal end is reported as such.
   */
  #lookForRemains(): void {
    const isDead = isZombie(this.#child.pid);
    if (isDead && this.#wasDead) this.#end(null, "SIGKILL", undefined);
    this.#wasDead = isDead;
  }

  /** Records that the server had sent count: a descriptor in one may be all that leads to an open file. */
  async #readRest(): Promise<void> {
    const late = new AbortController();
    await Promise.race([this.#link.read(), sleep(READ_LIMIT_MS, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
  }

  #watch(): Promise<ServerEnd> {
    return new Promise((resolve) => {
      const end = async (code: number | null, signal: NodeJS.Signals | null, failure: string | undefined): Promise<void> => {
        if (this.#over) return;
        this.#over = true;
        clearTimeout(this.#limit);
        clearInterval(this.#look);
        await this.#readRest();
        this.#link.close();
        const served = this.#readyMs !== undefined;
        const servedMs = this.#readyMs === undefined ? 0 : Date.now() - this.#readyMs;
        resolve({ code, signal, served, servedMs, handedOver: this.#handedOver, forced: this.#forced, failure });
      };
      this.#end = (...how) => void end(...how);
      this.#child.once("exit", (code, signal) => this.#end(code, signal, undefined));
      this.#child.once("error", (error) => {
        if (this.#child.pid === undefined) this.#end(null, null, error.message);
      });
    });
  }
}

export function describeEnd({ code, signal, failure }: ServerEnd): string {
  if (failure !== undefined) return failure;
  return signal === null ? `exit code ${code}` : `signal ${signal} (${constants.signals[signal]})`;
}
