// A pseudo-terminal of a test: `sluice run` is the leader of its session, and the test types, looks at its mode and hangs it up.
import { spawn } from "node:child_process";
import { fstatSync } from "node:fs";
import { ReadStream } from "node:tty";
import { native, POLL, TERMIOS_BYTES } from "@sluice/native";
import { cleanUp } from "@sluice/testkit";

const LIMIT_MS = 120_000;

export interface TerminalOptions {
  cwd: string;
  env: Readonly<Record<string, string>>;
  rows: number;
  columns: number;
}

export class Terminal {
  readonly pid: number;
  /** The device number of the program's end. */
  readonly device: number;
  /** The exit code, 128 and more after a signal. */
  readonly finished: Promise<number>;
  readonly #near: number;
  readonly #far: number;
  readonly #stream: ReadStream;
  #text = "";
  #look: () => void = () => undefined;

  constructor(argv: readonly string[], { cwd, env, rows, columns }: TerminalOptions) {
    const ends = new Int32Array(2);
    if (native.openPty(ends) < 0) throw new Error("no pseudo-terminal");
    [this.#near = -1, this.#far = -1] = ends;
    this.device = fstatSync(this.#far).rdev;
    this.resize(rows, columns);
    const stdio = [this.#far, this.#far, this.#far];
    const child = spawn("setsid", ["--ctty", ...argv], { cwd, env: { ...process.env, ...env }, stdio });
    this.pid = child.pid ?? -1;
    this.#stream = new ReadStream(this.#near);
    this.#stream.on("error", () => undefined);
    this.#stream.setEncoding("latin1").on("data", (text: string) => {
      this.#text += text;
      this.#look();
    });
    const limit = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
    cleanUp(() => void child.kill("SIGKILL"));
    cleanUp(() => this.hangUp());
    this.finished = new Promise((resolve) =>
      child.once("exit", (code, signal) => {
        clearTimeout(limit);
        this.#whenRead(() => {
          this.#look();
          resolve(code ?? (signal === "SIGHUP" ? 129 : 128));
        });
      }),
    );
  }

  #whenRead(done: () => void): void {
    const isMore = !this.#stream.destroyed && (native.pollNow(this.#near, POLL.IN, 0) & POLL.IN) !== 0;
    if (isMore) setImmediate(() => this.#whenRead(done));
    else done();
  }

  text(): string {
    return this.#text;
  }

  write(keys: string): void {
    this.#stream.write(keys);
  }

  /** Waits for `count` occurrences. */
  async waitFor(text: string, count = 1): Promise<void> {
    let ended = false;
    void this.finished.then(() => {
      ended = true;
      this.#look();
    });
    while (this.#text.split(text).length <= count) {
      if (ended) throw new Error(`the program ended without saying ${JSON.stringify(text)}: ${this.#text}`);
      await new Promise<void>((resolve) => (this.#look = resolve));
    }
  }

  /** Draws nothing more until `draw`, as a slow connection. */
  stall(): void {
    this.#stream.pause();
  }

  draw(): void {
    this.#stream.resume();
  }

  resize(rows: number, columns: number): void {
    native.setTerminalSize(this.#near, new Uint16Array([rows, columns, 0, 0]));
  }

  /** Control flags and characters, to compare. */
  mode(): string {
    const bytes = new Uint8Array(TERMIOS_BYTES);
    native.terminalMode(this.#far, bytes);
    return Buffer.from(bytes).toString("hex");
  }

  hangUp(): void {
    if (this.#stream.destroyed) return;
    native.close(this.#far);
    this.#stream.destroy();
  }
}
