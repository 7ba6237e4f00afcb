/** A decision process that has started and loaded its code before its policy is known. It has had no policy: so any policy may take it. */
import type { DecisionUser } from "@sluice/service-mount";
import { DecisionProcess } from "./decision-process.js";
import { chooseDecisionUser, OF_THE_MOUNT } from "./decision-user.js";

/** The start of the next process takes the processors that a mount needs for its own. */
const PAUSE_MS = 1_000;

export interface Ready {
  /** Undefined if there is none. */
  take(): Promise<DecisionProcess | undefined>;
  end(): Promise<void>;
}

export interface ReadyOptions {
  /** As for `chooseDecisionUser`. */
  runDirectory: string;
  /** Nobody waits for its policy yet. */
  isEarly: boolean;
  /** Another one is made ready for the policy after the next one. */
  again: boolean;
}

export class ReadyProcess implements Ready {
  readonly #options: ReadyOptions;
  #process: Promise<DecisionProcess | undefined>;
  #preparing: NodeJS.Timeout | undefined;

  constructor(options: ReadyOptions) {
    this.#options = options;
    this.#process = this.#prepare();
  }

  /** The policy that needs one starts it if that is impossible here, and tells why. */
  async #prepare(): Promise<DecisionProcess | undefined> {
    const { runDirectory, isEarly } = this.#options;
    try {
      const process = new DecisionProcess({ user: await chooseDecisionUser(runDirectory), tracingEndpoint: undefined });
      process.prepare({ isEarly });
      return process;
    } catch {
      return undefined;
    }
  }

  /** Resolves when it is there, or cannot be. */
  get begun(): Promise<unknown> {
    return this.#process;
  }

  async take(): Promise<DecisionProcess | undefined> {
    const taken = this.#process;
    this.#process = Promise.resolve(undefined);
    clearTimeout(this.#preparing);
    const prepare = (): void => {
      this.#process = this.#prepare();
    };
    if (this.#options.again) this.#preparing = setTimeout(prepare, PAUSE_MS).unref();
    const process = await taken;
    return process?.isOpen === true ? process : undefined;
  }

  async end(): Promise<void> {
    clearTimeout(this.#preparing);
    await (await this.#process)?.end();
  }
}

/** One for the only policy of a process that is about to become another user. */
export class AssignedProcess implements Ready {
  #process: DecisionProcess | undefined = new DecisionProcess({ user: OF_THE_MOUNT, tracingEndpoint: undefined });

  /** @throws if it cannot be started */
  constructor() {
    this.#process?.prepare({ isAssigned: true });
  }

  /** As `DecisionProcess.rehearse`. */
  rehearse(listenFd: number): () => void {
    return this.#process?.rehearse(listenFd) ?? (() => undefined);
  }

  assign(user: DecisionUser): void {
    this.#process?.assign(user);
  }

  take(): Promise<DecisionProcess | undefined> {
    const process = this.#process;
    this.#process = undefined;
    return Promise.resolve(process?.isOpen === true ? process : undefined);
  }

  async end(): Promise<void> {
    await this.#process?.end();
  }
}
