/**
 * A keeper that starts its servers: it starts one, replaces a dead one, hands over to a new version on request, and takes everything down at
 * the end. It reports to people on standard error.
 */
import type { Server } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isatty } from "node:tty";
import type { MountPlan } from "@sluice/keeper-link";
import { native } from "@sluice/native";
import { openControlSocket } from "./control-socket.js";
import { type Held, holdOne } from "./held.js";
import { FAILED, openResources, prepare, say, SocketsDirectory, STOP_SIGNALS } from "./setup.js";
import type { KeeperConfig, ServerProgram } from "./keeper-config.js";
import { MountResources } from "./mount-resources.js";
import { RestartRule } from "./restart-rule.js";
import { describeEnd, type ServerEnd, ServerProcess, type ServerSetup } from "./server-process.js";
import { Standby } from "./standby.js";
import type { UnassignedServer } from "./unassigned-server.js";

const CONTROL_SOCKET = "keeper.sock";
const STDIN = 0;
/** How long a server may take to unmount beyond its grace period. */
const STOP_LIMIT_MS = 30_000;
const PATIENT_STOPS = 2;
/** A new version fails if it has not loaded, or does not serve, within these limits. */
const LOAD_LIMIT_MS = 30_000;
const READY_LIMIT_MS = 30_000;
const DRAIN_LIMIT_MS = 15_000;

export interface Supervision extends ServerSetup {
  server: ServerProgram;
  /** How long a stopping server may take beyond STOP_LIMIT_MS; undefined: for ever. */
  graceMs: number | undefined;
  /** The directory of the keeper's sockets. It exists already. */
  runDirectory: string;
  /** The first server, if it is there already. */
  first?: UnassignedServer | undefined;
}

interface KeeperSetup extends Supervision {
  /** Called before a server begins to serve. */
  onStart(): void;
}

class Keeper {
  readonly #setup: KeeperSetup;
  readonly #held: Held;
  readonly #rule = new RestartRule();
  #program: ServerProgram;
  #first: UnassignedServer | undefined;
  #server: ServerProcess | undefined;
  readonly #standby = new Standby(() => this.#launch(this.#program));
  #restarts = 0;
  #lastDeath: string | undefined;
  #stops = 0;
  readonly #stopping = new AbortController();
  /** A server of another program that loads beside the running one. */
  #coming: ServerProcess | undefined;
  /** It has loaded, and replaces the server that hands over. */
  #upgradeTo: ServerProcess | undefined;
  /** The program before the one that is on trial. */
  #before: ServerProgram | undefined;
  #limit: NodeJS.Timeout | undefined;
  #tellUpgraded: (problem: string | undefined) => void = () => undefined;

  constructor(setup: KeeperSetup) {
    this.#setup = setup;
    this.#held = setup.held;
    this.#program = setup.server;
    this.#first = setup.first;
  }

  /** @returns the exit code */
  async run(): Promise<number> {
    try {
      for (;;) {
        const server = this.#start();
        const end = await server.ended;
        this.#server = undefined;
        clearTimeout(this.#limit);
        const code = await this.#after(end);
        if (code !== undefined) return code;
      }
    } finally {
      this.#coming?.signal("SIGKILL");
      await this.#coming?.ended;
      await this.#standby.drop();
    }
  }

  /** For SIGTERM, SIGINT, and SIGHUP of a closed terminal: the server unmounts; at the second call at once; at the third it is killed. */
  stop(): void {
    this.#stops++;
    this.#stopping.abort();
    void this.#standby.drop();
    this.#coming?.signal("SIGKILL");
    this.#server?.signal(this.#stops > PATIENT_STOPS ? "SIGKILL" : "SIGTERM");
    const { graceMs } = this.#setup;
    if (graceMs !== undefined) this.#limit ??= setTimeout(() => this.#server?.signal("SIGKILL"), graceMs + STOP_LIMIT_MS);
  }

  /**
   * Hands over to `program`. The new server starts beside the running one, which makes room once the new one has loaded: a version that
   * cannot even load costs the users of the mount nothing. @returns the problem; undefined if it serves
   */
  async upgrade(program: ServerProgram): Promise<string | undefined> {
    if (this.#stops > 0 || this.#server === undefined) return "it is ending, or starting another server: try again";
    if (this.#coming !== undefined || this.#before !== undefined) return "another upgrade is under way";
    void this.#standby.drop();
    const coming = this.#launch(program);
    this.#coming = coming;
    const problem = await this.#loads(coming);
    if (problem === undefined) return new Promise((resolve) => this.#replaceBy(coming, resolve));
    this.#coming = undefined;
    if (this.#stops > 0) return "it is about to end";
    this.#standby.prepare();
    say(this.#held.name, `the new server ${problem}: the one before goes on`);
    return `the new server ${problem}: the one before goes on`;
  }

  /** @returns the problem; undefined if it has loaded */
  async #loads(coming: ServerProcess): Promise<string | undefined> {
    const late = new AbortController();
    const limit = sleep(LOAD_LIMIT_MS, undefined, { signal: late.signal }).catch(() => undefined);
    await Promise.race([coming.loaded, coming.ended, limit]);
    late.abort();
    if (coming.hasLoaded && !coming.over) return undefined;
    const why = coming.over ? describeEnd(await coming.ended) : `not loaded after ${LOAD_LIMIT_MS / 1000} s`;
    coming.signal("SIGKILL");
    await coming.ended;
    return `does not serve (${why})`;
  }

  #replaceBy(coming: ServerProcess, tell: (problem: string | undefined) => void): void {
    this.#upgradeTo = coming;
    this.#tellUpgraded = tell;
    void this.#standby.drop();
    // Without a server, the running one has died meanwhile and is about to be replaced.
    const server = this.#server;
    if (server === undefined) return;
    server.drain();
    this.#limit ??= setTimeout(() => server.signal("SIGKILL"), DRAIN_LIMIT_MS);
  }

  get serverPid(): number | undefined {
    return this.#server?.pid;
  }

  get program(): ServerProgram {
    return this.#program;
  }

  #launch(program: ServerProgram): ServerProcess {
    const first = this.#first;
    this.#first = undefined;
    return new ServerProcess({ ...this.#setup, onOver: () => this.#over() }, program, first);
  }

  /** No other server follows. */
  #over(): void {
    void this.#standby.drop();
    this.#setup.onOver?.();
  }

  /** The server that serves next. */
  #next(): ServerProcess {
    const coming = this.#upgradeTo;
    if (coming === undefined) return this.#standby.take(this.#program) ?? this.#launch(this.#program);
    this.#upgradeTo = undefined;
    this.#coming = undefined;
    this.#before = this.#program;
    this.#program = coming.program;
    return coming;
  }

  #start(): ServerProcess {
    const server = this.#next();
    this.#setup.onStart();
    server.serve({ keeperPid: process.pid, restarts: this.#restarts, lastDeath: this.#lastDeath });
    void server.ready.then(() => {
      if (this.#stops === 0) this.#standby.prepare();
    });
    this.#server = server;
    this.#limit = undefined;
    this.#onTrial(server);
    if (this.#stops > 0) server.signal("SIGTERM");
    return server;
  }

  /** @returns the exit code at the end of the mount; undefined to start another server */
  async #after(end: ServerEnd): Promise<number | undefined> {
    const { name } = this.#held;
    if (this.#stops > 0) return stopped(end);
    if (this.#held.isOver(end)) return end.code ?? 0;
    if (!this.#everServed(end)) return this.#neverServed(end);
    if (this.#upgradeTo !== undefined) return this.#replaced(end);
    if (this.#before !== undefined && !end.served) return this.#failedTrial(end, this.#before);
    this.#restarts++;
    this.#lastDeath = `${describeEnd(end)} at ${new Date().toISOString()}`;
    const next = this.#rule.next({ ...end, killed: end.signal === "SIGKILL" });
    if (!next.again) {
      say(name, `the server dies again and again (${describeEnd(end)}): unmounted; see its log`);
      return FAILED;
    }
    say(name, `the server died (${describeEnd(end)}): another one goes on`);
    await sleep(next.pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    return this.#stops > 0 ? 0 : undefined;
  }

  #everServed(end: ServerEnd): boolean {
    return end.served || this.#held.begun;
  }

  /** The server has reported the reason itself if it could. */
  #neverServed(end: ServerEnd): number {
    if (end.code !== null) return end.code;
    say(this.#held.name, `the server ended before it served (${describeEnd(end)}): see its log`);
    return FAILED;
  }

  /** A server made room for another program. However it ended, the new one serves next, on trial. */
  #replaced(end: ServerEnd): undefined {
    const { name } = this.#held;
    if (!end.handedOver) say(name, `the server did not hand over (${describeEnd(end)}): a new one takes over anyway`);
    return undefined;
  }

  /** Rolls back to the program before, once, if the new one does not serve. */
  #failedTrial(end: ServerEnd, before: ServerProgram): undefined {
    say(this.#held.name, `the new server does not serve (${describeEnd(end)}): back to the one before`);
    this.#tellUpgraded(`the new server does not serve (${describeEnd(end)}): the one before goes on`);
    this.#program = before;
    this.#before = undefined;
    return undefined;
  }

  #onTrial(server: ServerProcess): void {
    if (this.#before === undefined) return;
    this.#limit = setTimeout(() => server.signal("SIGKILL"), READY_LIMIT_MS);
    void server.ready.then(() => {
      clearTimeout(this.#limit);
      this.#limit = undefined;
      this.#before = undefined;
      this.#tellUpgraded(undefined);
      say(this.#held.name, "a new server has taken over");
    });
  }
}

/** The server ended as told; or it was dead, or too young to handle a signal, which counts as a normal end. */
function stopped({ code, signal, forced }: ServerEnd): number {
  if (code !== null) return code;
  return !forced && (signal === "SIGKILL" || signal === "SIGTERM") ? 0 : FAILED;
}

/** Counts the signals of a keeper that still waits for its layers. @returns a function that ends that, and returns the count */
function countStops(): () => number {
  let stops = 0;
  const count = (): void => void stops++;
  for (const signal of STOP_SIGNALS) process.on(signal, count);
  return () => {
    for (const signal of STOP_SIGNALS) process.off(signal, count);
    return stops;
  };
}

/** The keeper of a mount or service has one server at a time, or several that divide the mounts of a service. */
class Keepers {
  readonly #first: Keeper;
  readonly #others: readonly { keeper: Keeper; setup: KeeperSetup }[];

  constructor([first, ...others]: readonly [KeeperSetup, ...KeeperSetup[]]) {
    this.#first = new Keeper(first);
    this.#others = others.map((setup) => ({ keeper: new Keeper(setup), setup }));
  }

  get #all(): Keeper[] {
    return [this.#first, ...this.#others.map(({ keeper }) => keeper)];
  }

  listen(): void {
    for (const signal of STOP_SIGNALS) process.on(signal, () => this.stop());
    process.on("SIGHUP", () => {
      // From a terminal that was closed, or from somebody who wants the server restarted.
      if (isatty(STDIN)) this.stop();
      else void this.upgrade(this.#first.program);
    });
  }

  stop(): void {
    for (const keeper of this.#all) keeper.stop();
  }

  isServer(pid: number): boolean {
    return this.#all.some(({ serverPid }) => serverPid === pid);
  }

  /** One after another, so that a version that does not serve stops at the first. @returns the problem; undefined if all serve */
  async upgrade(program: ServerProgram): Promise<string | undefined> {
    for (const [at, keeper] of this.#all.entries()) {
      const problem = await keeper.upgrade(program);
      if (problem !== undefined) return at === 0 ? problem : `${problem}; ${at} of ${this.#all.length} processes are of the new version`;
    }
    return undefined;
  }

  /** The first server takes the clients: without it the others end. @returns the exit code */
  async run(): Promise<number> {
    const others = this.#others.map(({ keeper, setup }) => this.#runOther(keeper, setup));
    const code = await this.#first.run();
    for (const { keeper } of this.#others) keeper.stop();
    return Math.max(code, ...(await Promise.all(others)));
  }

  /** If it ends, the first server learns that by the closed descriptor, and passes no mount on to it. One that cannot begin ends all. */
  async #runOther(keeper: Keeper, { held, listenFd }: KeeperSetup): Promise<number> {
    try {
      const code = await keeper.run();
      if (code !== 0 && !held.begun) this.stop();
      return code;
    } finally {
      if (listenFd !== undefined) native.close(listenFd);
      await held.end();
    }
  }
}

/** Runs servers until none is needed any more, and gives everything back. `stops`: signals so far. @returns the exit code */
export async function supervise(
  setup: Supervision,
  directory = new SocketsDirectory(setup.runDirectory, setup.user),
  { stops = 0, others = [] }: { stops?: number; others?: readonly Supervision[] } = {},
): Promise<number> {
  let givingBack: Promise<void> | undefined;
  let control: Server | undefined;
  const giveBack = async (): Promise<void> => {
    control?.close();
    await setup.held.end();
    directory.remove();
    for (const fd of setup.handed ?? []) native.close(fd);
  };
  // A session waits for the descriptors, and its next command may have the same directory for sockets: so they are closed last.
  const onOver = (): void => void (givingBack ??= giveBack());
  const openControl = (): void => {
    control?.close();
    control = openControlSocket(join(setup.runDirectory, CONTROL_SOCKET), setup.user !== undefined, keepers);
  };
  const onStart = (): void => {
    if (directory.restore()) openControl();
  };
  const keepers = new Keepers([{ ...setup, onOver, onStart }, ...others.map((other) => ({ ...other, onStart }))]);
  keepers.listen();
  for (let count = 0; count < stops; count++) keepers.stop();
  openControl();
  try {
    return await keepers.run();
  } finally {
    await (givingBack ??= giveBack());
  }
}

/** Runs the keeper to the end of its mount. `first` is the first server, if it is there already. @returns the exit code */
export async function runKeeper({ plan, directoryIdentity, ...config }: KeeperConfig, first?: UnassignedServer): Promise<number> {
  const directory = new SocketsDirectory(config.runDirectory, config.user, directoryIdentity);
  const stops = countStops();
  const unprepared = prepare(plan.mountpoint);
  // While this process opens what it is to pass to it.
  first?.assign(config);
  const resources = unprepared || (await openResources({ plan }));
  if (typeof resources === "number") {
    first?.drop();
    directory.remove();
    return resources;
  }
  resources.claim = (mount) => directory.claim(mount);
  return supervise({ ...config, groups: plan.caller?.groups, held: holdOne(plan, resources), first }, directory, { stops: stops() });
}

/** Makes the next call of runKeeper faster: it holds the layers of `plan` for a moment, and mounts nothing. @throws as MountResources */
export function rehearseKeeper(plan: MountPlan): void {
  void new MountResources(plan).end();
}
