/** The mounts of this process, from their making to the end of the last one. */
import { setTimeout as sleep } from "node:timers/promises";
import { NeedsOwnProcess } from "@sluice/host-api";
import type { HeldMount } from "@sluice/keeper-link";
import { readMountTable } from "@sluice/mount-control";
import type { Logger } from "@sluice/runtime";
import { CliError, failed, unfit } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import type { MountHost } from "../mount-host.js";
import { runMount, takeOverMount } from "../serve/run-mount.js";
import { surviveBugs } from "../serve/survive-bugs.js";
import { type HostKeeper, inherit } from "./host-keeper.js";
import { HostedMount, MAX_MOUNTS, type Person } from "./hosted-mount.js";
import type { MountClient } from "./mount-client.js";
import { RestoreTurns } from "./restore-turns.js";

/** How long mounts that begin may still take when another process is to take over. */
const BEGIN_MS = 5_000;

export interface RunningMount {
  mount: HostedMount;
  /** Resolves when nothing of it is left; rejects as `runMount`. */
  ended: Promise<void>;
}

export interface HostedMountsParts {
  logger: Logger;
  host: MountHost;
  /** Undefined: this process holds the mounts itself. */
  keeper: HostKeeper | undefined;
  /** No other process serves mounts of the same service. */
  isAlone: boolean;
}

export class HostedMounts {
  readonly #logger: Logger;
  readonly #host: MountHost;
  readonly #keeper: HostKeeper | undefined;
  readonly #isAlone: boolean;
  readonly #running = new Set<RunningMount>();
  readonly #detachers = new Set<() => void>();
  readonly #bugCounters = new Set<() => void>();
  readonly #turns = new RestoreTurns();
  #ending = false;

  constructor({ logger, host, keeper, isAlone }: HostedMountsParts) {
    this.#logger = logger;
    this.#host = host;
    this.#keeper = keeper;
    this.#isAlone = isAlone;
    // One listener for all: each mount with one of its own would soon be too many.
    process.on("exit", () => this.#detachers.forEach((detach) => detach()));
    surviveBugs(logger, () => this.#bugCounters.forEach((count) => count()));
  }

  all(): RunningMount[] {
    return [...this.#running];
  }

  /** Of those that are there, or begin. */
  get count(): number {
    return this.all().filter(({ mount }) => !mount.isGone).length;
  }

  at(mountpoint: string): RunningMount | undefined {
    return this.all().find(({ mount }) => !mount.isGone && mount.config?.mountpoint === mountpoint);
  }

  /** @throws CliError or NeedsOwnProcess if there can be no further mount */
  begin(config: MountConfig, person: Person, client: MountClient): RunningMount {
    if (this.#ending) throw failed(config.mountpoint, "the host service is ending (ESHUTDOWN)", "start it again, and mount then");
    if (this.#running.size >= MAX_MOUNTS) {
      const problem = `the host service has its ${MAX_MOUNTS} mounts (EMFILE)`;
      throw new NeedsOwnProcess(unfit(config.mountpoint, problem, "unmount one, or mount with --host-service off"));
    }
    const mount = this.#make(person, client);
    return this.#run(mount, config.name, () => runMount(config, this.#host, mount));
  }

  /** Serves a mount that a process before this one served, or that this one could not serve before. It is one of all from now on. */
  restore(held: HeldMount): void {
    const { config, client, session } = inherit(held);
    const logger = this.#logger.child({ mount: config.name });
    const mount = this.#make({ announce: () => undefined, tell: (line) => logger.warn(line) }, client);
    mount.config = config;
    mount.othersFirst = () => this.#turns.next(Promise.resolve());
    this.#run(mount, config.name, async () => {
      await this.#turns.next(mount.begun);
      await takeOverMount(config, this.#host, { keeper: session, owner: mount });
    });
    if (client.attached) mount.awaitCall();
    if (this.#ending) mount.stop();
  }

  #make(person: Person, client: MountClient): HostedMount {
    const keeper = this.#keeper;
    const shared = {
      logger: this.#logger,
      others: (own: HostedMount) => this.#others(own),
      isAlone: this.#isAlone,
      onExit: (detach: () => void) => keptIn(this.#detachers, detach),
      surviveBugs: (count: () => void) => keptIn(this.#bugCounters, count),
      keeperSocket: keeper?.socket,
      hold: keeper === undefined ? undefined : (config: MountConfig) => keeper.hold({ config, client }),
    };
    return new HostedMount(shared, person, client);
  }

  #run(mount: HostedMount, name: string, run: () => Promise<void>): RunningMount {
    const running: RunningMount = { mount, ended: Promise.resolve() };
    this.#running.add(running);
    running.ended = run().finally(() => this.#running.delete(running));
    running.ended.catch((error: unknown) => this.#failed(name, error));
    return running;
  }

  /** The caller gets the same, if it is still there. */
  #failed(mount: string, error: unknown): void {
    const expected = error instanceof CliError || error instanceof NeedsOwnProcess;
    if (expected) this.#logger.warn({ mount, why: error.message }, "a mount could not be made, or did not end in order");
    else this.#logger.error({ mount, err: error }, "bug: a mount failed");
  }

  /**
   * Among several processes that is each mount of Sluice on the machine: a mount of another process, whose layers lie on one of this process,
   * would make both wait for one another.
   */
  #others(own: HostedMount): string[] {
    const here = this.all().flatMap(({ mount }) =>
      mount === own || mount.isGone || mount.config === undefined ? [] : [mount.config.mountpoint],
    );
    if (this.#isAlone) return here;
    const everywhere = readMountTable().flatMap(({ type, mountpoint }) => (type === "fuse.sluice" ? [mountpoint] : []));
    return [...new Set([...here, ...everywhere])];
  }

  /** Resolves when each mount serves, or has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.all().map(({ mount, ended }) => Promise.race([mount.serving, ended.catch(() => undefined)])));
  }

  /** Makes room for another process: completes the requests of all mounts, and begins no other. */
  async drain(): Promise<void> {
    this.#ending = true;
    await Promise.race([this.settled(), sleep(BEGIN_MS)]);
    await Promise.all(this.all().map(({ mount }) => mount.drain()));
  }

  /** Ends all: the first call asks each, the second hurries them. */
  stop(): void {
    for (const { mount } of this.#running) mount.stop(this.#ending);
    this.#ending = true;
  }

  /** Resolves when no mount is left, with the errors of those that did not end in order. */
  async ended(): Promise<unknown[]> {
    const ends = await Promise.allSettled(this.all().map(({ ended }) => ended));
    return ends.flatMap((end) => (end.status === "rejected" ? [end.reason as unknown] : []));
  }
}

/** @returns a function that takes it out again */
function keptIn<T>(set: Set<T>, item: T): () => void {
  set.add(item);
  return () => void set.delete(item);
}
