/** A supervised child process: it is restarted whenever it ends, after a growing pause. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { CliError, EXIT, type Logger } from "@sluice/runtime";
import { type ChildOptions, startChild } from "./child-process.js";
import { forwardLines } from "./forward-lines.js";
import type { PolicyFiles } from "./policy-files.js";

export interface SupervisedChildOptions extends ChildOptions {
  /** An earlier one has served: then a child that fails to start is restarted too. */
  takesOver: boolean;
  /** Gets the lines of its log. */
  writeLine: (line: string) => void;
  /** Gets its decisions, if it logs them. */
  writeDecision: ((line: string) => void) | undefined;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** A child that lived this long restarts quickly. */
const STABLE_MS = 10_000;
const GRACE_MS = 3_000;

export class SupervisedChild {
  /** Resolves if the first child ends before it has served; never with `takesOver`. */
  readonly failedToStart: Promise<Error>;
  /** Of the current child. */
  files: PolicyFiles | undefined;
  readonly #options: SupervisedChildOptions;
  readonly #logger: Logger;
  readonly #ending = new AbortController();
  #child: ChildProcess | undefined;
  #everServed = false;
  #pauseMs = FIRST_PAUSE_MS;
  /** The lines of a first child that has not served yet: it may have no more to say than that its policy has a mistake. */
  #earlyLines: string[] | undefined = [];
  #tellFailure: (error: Error) => void = () => undefined;

  constructor(options: SupervisedChildOptions, logger: Logger) {
    this.#options = options;
    this.#everServed = options.takesOver;
    if (options.takesOver) this.#earlyLines = undefined;
    this.#logger = logger;
    this.failedToStart = new Promise((resolve) => {
      this.#tellFailure = resolve;
    });
    this.#start();
  }

  #start(): void {
    const startedMs = Date.now();
    const { child, files } = startChild(this.#options);
    this.#child = child;
    this.files = files;
    child.stdout?.once("data", () => {
      this.#everServed = true;
      this.writeEarlyLines();
    });
    const { writeDecision } = this.#options;
    if (child.stdout !== null && writeDecision !== undefined)
      forwardLines(child.stdout, (line) => line.startsWith("{") && writeDecision(line));
    else child.stdout?.resume();
    if (child.stderr !== null) forwardLines(child.stderr, (line) => this.#writeLine(line));
    let problem: string | undefined;
    child.once("error", (error) => {
      problem = `it cannot be started: ${error.message}`;
    });
    // "close" comes after its last line, also for a child that could not be started.
    child.once("close", (code, signal) => {
      this.#ended(problem ?? (signal === null ? `exit code ${code}` : `signal ${signal}`), startedMs);
    });
  }

  #writeLine(line: string): void {
    if (this.#earlyLines === undefined) this.#options.writeLine(line);
    else this.#earlyLines.push(line);
  }

  writeEarlyLines(): void {
    const lines = this.#earlyLines ?? [];
    this.#earlyLines = undefined;
    for (const line of lines) this.#options.writeLine(line);
  }

  #ended(how: string, startedMs: number): void {
    this.files = undefined;
    if (this.#ending.signal.aborted) return;
    this.#child = undefined;
    if (!this.#everServed) {
      const problem = `it ended before it served (${how})`;
      this.#tellFailure(new CliError({ object: "decision service", problem, remedy: "its own message is above", exitCode: EXIT.FAILED }));
      return;
    }
    if (Date.now() - startedMs > STABLE_MS) this.#pauseMs = FIRST_PAUSE_MS;
    this.#logger.warn({ how, pauseMs: this.#pauseMs }, "the decision service ended: it is started again");
    void this.#restart(this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
  }

  async #restart(pauseMs: number): Promise<void> {
    try {
      await sleep(pauseMs, undefined, { signal: this.#ending.signal });
    } catch {
      // The mount is ending too.
      return;
    }
    this.#start();
  }

  /** Sends SIGTERM, then SIGKILL if that does not help. */
  async end(): Promise<void> {
    this.#ending.abort();
    if (this.#everServed) this.writeEarlyLines();
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    // Its last decisions come before that.
    const gone = once(child, "close");
    child.kill("SIGTERM");
    const late = sleep(GRACE_MS, "late" as const, { ref: false });
    if ((await Promise.race([gone, late])) === "late") child.kill("SIGKILL");
    await gone;
  }
}
