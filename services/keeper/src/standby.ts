/**
 * The standby server: it is started ahead, with its modules loaded and no access to the mount, so that a take-over does not wait for a
 * process to start. A new mount has none at first: a short-lived mount does not pay for it.
 */
import type { ServerProgram } from "./keeper-config.js";
import type { ServerProcess } from "./server-process.js";

/** The delay after the server starts to serve: it has the processors to itself meanwhile. */
const FIRST_DELAY_MS = 2_000;
const LONGEST_DELAY_MS = 60_000;

export class Standby {
  readonly #make: () => ServerProcess;
  #server: ServerProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #delayMs = FIRST_DELAY_MS;

  constructor(make: () => ServerProcess) {
    this.#make = make;
  }

  /** The standby server of this program, to serve from now on; undefined if there is none. */
  take(program: ServerProgram): ServerProcess | undefined {
    const server = this.#server;
    if (server?.program !== program || server.over) {
      void this.drop();
      return undefined;
    }
    this.#forget();
    return server;
  }

  /** Starts one after a delay. */
  prepare(): void {
    this.#delayMs = FIRST_DELAY_MS;
    this.#later();
  }

  /** Ends the standby server, if there is one; resolves when it is gone. */
  async drop(): Promise<void> {
    const server = this.#server;
    this.#forget();
    server?.signal("SIGKILL");
    await server?.ended;
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#server = undefined;
  }

  #later(): void {
    if (this.#server !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#start(), this.#delayMs);
  }

  #start(): void {
    const server = this.#make();
    this.#server = server;
    void server.ended.then(() => {
      if (this.#server !== server) return;
      // Somebody ended it, or it cannot start: the mount works without one.
      this.#server = undefined;
      this.#delayMs = Math.min(this.#delayMs * 2, LONGEST_DELAY_MS);
      this.#later();
    });
  }
}
