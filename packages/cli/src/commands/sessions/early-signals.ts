/**
 * A signal that ends `sluice run` before its command begins, from the moment at which the session is made until the runner of the session
 * takes signals itself. A new session would stay behind, without a change.
 */
import { ENDING, type EndingSignal } from "@sluice/runtime/cli";

export class EarlySignals {
  #told: EndingSignal | undefined;
  #remove: (() => void) | undefined;
  readonly #note = (signal: EndingSignal): void => {
    this.#told ??= signal;
    this.#end();
  };

  constructor() {
    for (const signal of ENDING) process.on(signal, this.#note);
  }

  /** The session has been made: a signal removes it, and ends this process as if nobody had caught it. */
  endBy(remove: () => void): void {
    this.#remove = remove;
    this.#end();
  }

  /** A service works on the session from now on: a signal is noted, and the caller ends that first. */
  noteOnly(): void {
    this.#remove = undefined;
  }

  /** The first signal that came. */
  get told(): EndingSignal | undefined {
    return this.#told;
  }

  #end(): void {
    if (this.#told === undefined || this.#remove === undefined) return;
    const [signal, remove] = [this.#told, this.#remove];
    this.unhook();
    try {
      remove();
    } finally {
      process.kill(process.pid, signal);
    }
  }

  unhook(): void {
    for (const signal of ENDING) process.off(signal, this.#note);
  }
}
