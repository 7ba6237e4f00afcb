/**
 * The server that is to follow: started beforehand, with its modules loaded and nothing in its hands, so that a take-over
 * does not wait for a process to start. There is none at first: what lives for a moment need not pay for it.
 */
import type { ServerProgram } from "./keeper-config.js";
import type { ServerProcess } from "./server-process.js";

/** After the server serves: it has the processors for itself as long. */
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

  /** The one that waits, to be served by from now on; undefined where there is none of this program. */
  take(program: ServerProgram): ServerProcess | undefined {
    const server = this.#server;
    if (server?.program !== program || server.over) {
      void this.drop();
      return undefined;
    }
    this.#forget();
    return server;
  }

  /** Starts one in a while. */
  prepare(): void {
    this.#delayMs = FIRST_DELAY_MS;
    this.#later();
  }

  /** Ends the one that waits, if any; resolves when it is gone. */
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
      // Somebody ended it, or it cannot start: a mount does without.
      this.#server = undefined;
      this.#delayMs = Math.min(this.#delayMs * 2, LONGEST_DELAY_MS);
      this.#later();
    });
  }
}
