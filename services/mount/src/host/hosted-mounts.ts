/** The mounts of this process, from their making to the end of the last one. */
import { NeedsOwnProcess } from "@sluice/host-api";
import type { Logger } from "@sluice/runtime";
import { CliError, failed, unfit } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import type { MountHost } from "../mount-host.js";
import { runMount } from "../serve/run-mount.js";
import { surviveBugs } from "../serve/survive-bugs.js";
import { HostedMount, MAX_MOUNTS, type Person } from "./hosted-mount.js";

export interface RunningMount {
  mount: HostedMount;
  /** Resolves when nothing of it is left; rejects as `runMount`. */
  ended: Promise<void>;
}

export class HostedMounts {
  readonly #logger: Logger;
  readonly #host: MountHost;
  readonly #running = new Set<RunningMount>();
  readonly #detachers = new Set<() => void>();
  readonly #bugCounters = new Set<() => void>();
  #ending = false;

  constructor(logger: Logger, host: MountHost) {
    this.#logger = logger;
    this.#host = host;
    // One listener for all: each mount with one of its own would soon be too many.
    process.on("exit", () => this.#detachers.forEach((detach) => detach()));
    surviveBugs(logger, () => this.#bugCounters.forEach((count) => count()));
  }

  all(): RunningMount[] {
    return [...this.#running];
  }

  at(mountpoint: string): RunningMount | undefined {
    return this.all().find(({ mount }) => mount.config?.mountpoint === mountpoint);
  }

  /** @throws CliError or NeedsOwnProcess if there can be no further mount */
  begin(config: MountConfig, person: Person): RunningMount {
    if (this.#ending) throw failed(config.mountpoint, "the host service is ending (ESHUTDOWN)", "start it again, and mount then");
    if (this.#running.size >= MAX_MOUNTS) {
      const problem = `the host service has its ${MAX_MOUNTS} mounts (EMFILE)`;
      throw new NeedsOwnProcess(unfit(config.mountpoint, problem, "unmount one, or mount with --host-service off"));
    }
    const mount = new HostedMount(
      {
        logger: this.#logger,
        others: (own) => this.#others(own),
        onExit: (detach) => keptIn(this.#detachers, detach),
        surviveBugs: (count) => keptIn(this.#bugCounters, count),
      },
      person,
    );
    const running: RunningMount = { mount, ended: Promise.resolve() };
    this.#running.add(running);
    running.ended = runMount(config, this.#host, mount).finally(() => this.#running.delete(running));
    running.ended.catch((error: unknown) => this.#failed(config.name, error));
    return running;
  }

  /** The caller gets the same, if it is still there. */
  #failed(mount: string, error: unknown): void {
    const expected = error instanceof CliError || error instanceof NeedsOwnProcess;
    if (expected) this.#logger.warn({ mount, why: error.message }, "a mount could not be made, or did not end in order");
    else this.#logger.error({ mount, err: error }, "bug: a mount failed");
  }

  #others(own: HostedMount): string[] {
    return this.all().flatMap(({ mount }) => (mount === own || mount.config === undefined ? [] : [mount.config.mountpoint]));
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
