/** One embedded decision service for all mounts of this process that have the same policy file and the same options for it. */
import { makeRunDirectory } from "@sluice/mount-control";
import type { Logger } from "@sluice/runtime";
import type { DecisionHost, EmbeddedDecisionOptions, StartEmbeddedDecision } from "../mount-host.js";

type SharedOptions = Omit<EmbeddedDecisionOptions, "runDirectory">;

/** A mount that uses a service. */
interface User {
  /** A file of the policy may have changed, and this mount has not heard of it. */
  untold: boolean;
}

/** All options of the service; only the directory for its socket is the mount's. */
function keyOf(options: SharedOptions): string {
  const { policyFile, askTimeoutMs, answersFile, logLevel, logFile, decisionLog, tracingEndpoint } = options;
  return JSON.stringify([policyFile, askTimeoutMs, answersFile, logLevel, logFile, decisionLog, tracingEndpoint]);
}

class SharedService {
  readonly #users = new Set<User>();
  readonly #started: Promise<DecisionHost>;
  readonly #runDirectory: { path: string; remove(): void };
  readonly #forget: () => void;

  /** `forget` is called as soon as no further mount may use it. */
  constructor(start: StartEmbeddedDecision, options: SharedOptions, name: string, forget: () => void) {
    this.#forget = forget;
    this.#runDirectory = makeRunDirectory(name, options.takesOver);
    this.#started = start({ ...options, runDirectory: this.#runDirectory.path });
    this.#started.then(({ failedToStart }) => failedToStart.then(forget), forget);
  }

  async join(): Promise<DecisionHost> {
    const user: User = { untold: false };
    this.#users.add(user);
    try {
      const { target, failedToStart, unprotected } = await this.#started;
      return { target, failedToStart, unprotected, policyTouched: await this.#touchedFor(user), close: () => this.#leave(user) };
    } catch (error) {
      await this.#leave(user);
      throw error;
    }
  }

  /** The service tells of a change once; each mount is to hear of it. */
  async #touchedFor(user: User): Promise<() => boolean> {
    const { policyTouched } = await this.#started;
    return () => {
      if (policyTouched()) for (const each of this.#users) each.untold = true;
      const { untold } = user;
      user.untold = false;
      return untold;
    };
  }

  async #leave(user: User): Promise<void> {
    if (!this.#users.delete(user) || this.#users.size > 0) return;
    this.#forget();
    const host = await this.#started.catch(() => undefined);
    await host?.close();
    this.#runDirectory.remove();
  }
}

export class SharedDecisions {
  readonly #start: StartEmbeddedDecision;
  readonly #logger: Logger;
  readonly #services = new Map<string, SharedService>();
  readonly #owner: string;

  /** `logger` gets the lines about the services themselves. `owner` names this process and those that take its mounts over. */
  constructor(start: StartEmbeddedDecision, { logger, owner }: { logger: Logger; owner: string }) {
    this.#start = start;
    this.#logger = logger;
    this.#owner = owner;
  }

  readonly start: StartEmbeddedDecision = async ({ runDirectory: _own, ...options }) => {
    const key = keyOf(options);
    let service = this.#services.get(key);
    if (service === undefined) {
      const begun: SharedService = new SharedService(
        this.#start,
        { ...options, logger: this.#logger },
        // The same for a process that takes over: its directory takes the place of the one that a killed process left.
        `decision service of ${this.#owner} for ${key}`,
        () => {
          if (this.#services.get(key) === begun) this.#services.delete(key);
        },
      );
      service = begun;
      this.#services.set(key, service);
    }
    return service.join();
  };
}
