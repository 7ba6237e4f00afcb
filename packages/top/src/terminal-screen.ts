/**
 * Takes the terminal over for frames, and restores it: at the end, on a signal, at an unexpected exit, and while the job is stopped.
 */

/** The alternate screen, no cursor, and no line wrap: a name may be wider than its length. */
const ALTERNATE = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const BACK = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

/** SIGHUP: the terminal itself is gone. */
const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;
/** Control-Z: in raw mode the terminal sends no signal for it. */
const SUSPEND = "\u001a";
/** Arrow and function keys, which are ignored. */
// oxlint-disable-next-line no-control-regex -- these keys begin with one
const SEQUENCES = /\u001b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])/g;

/** Gives the lines for a number of rows. */
type Picture = (rows: number) => readonly string[];

/** Whether standard output is a terminal with cursor control. */
export function isScreen(): boolean {
  return process.stdout.isTTY && !["", "dumb"].includes(process.env["TERM"] ?? "");
}

export class TerminalScreen {
  readonly #over = new AbortController();
  #picture: Picture = () => [];
  #taken = false;
  #keyPressed: (key: string) => void = () => undefined;

  readonly end = (): void => this.#over.abort();
  readonly #redraw = (): void => this.#draw();
  readonly #giveBack = (): void => this.#leave();
  readonly #resume = (): void => {
    this.#enter();
    this.#draw();
  };
  readonly #read = (keys: string): void => {
    for (const key of keys.replace(SEQUENCES, "")) {
      if (key === SUSPEND) this.#suspend();
      else this.#keyPressed(key);
    }
  };

  constructor() {
    process.once("exit", this.#giveBack);
    process.stdout.on("resize", this.#redraw);
    for (const signal of ENDING_SIGNALS) process.on(signal, this.end);
    // Another program may have changed the terminal while the job was stopped.
    process.on("SIGCONT", this.#resume);
    this.#enter();
    if (!this.hasKeys) return;
    process.stdin.setEncoding("utf8");
    process.stdin.on("data", this.#read);
    for (const gone of ["end", "error"]) process.stdin.on(gone, this.end);
  }

  /** Whether standard input is a terminal with keys. */
  get hasKeys(): boolean {
    return process.stdin.isTTY;
  }

  /** Aborted when the user quits. */
  get ended(): AbortSignal {
    return this.#over.signal;
  }

  /** Calls `pressed` with each key, as a whole character. */
  onKey(keyPressed: (key: string) => void): void {
    this.#keyPressed = keyPressed;
  }

  show(picture: Picture): void {
    this.#picture = picture;
    this.#draw();
  }

  close(): void {
    process.stdout.off("resize", this.#redraw);
    process.off("SIGCONT", this.#resume);
    for (const signal of ENDING_SIGNALS) process.off(signal, this.end);
    if (this.hasKeys) process.stdin.pause();
    this.#leave();
    process.off("exit", this.#giveBack);
  }

  #enter(): void {
    if (this.hasKeys) process.stdin.setRawMode(true);
    process.stdout.write(ALTERNATE);
    this.#taken = true;
  }

  #leave(): void {
    if (!this.#taken) return;
    this.#taken = false;
    if (this.hasKeys) process.stdin.setRawMode(false);
    process.stdout.write(BACK);
  }

  /** Returns when the job continues. The kernel does not stop a job that nobody could continue: then it returns at once. */
  #suspend(): void {
    this.#leave();
    // The whole job, as the terminal does it: the shell also waits for the parent of this process.
    process.kill(0, "SIGTSTP");
    this.#resume();
  }

  #draw(): void {
    if (!this.#taken) return;
    // Some terminals report no size.
    const columns = process.stdout.columns || 80;
    // Without a newline after the last line, which would scroll the terminal.
    const rows = (process.stdout.rows || 24) - 1;
    const shown = this.#picture(rows).slice(0, rows);
    const cut = shown.map((line) => (line.length > columns ? Array.from(line).slice(0, columns).join("") : line) + CLEAR_LINE);
    process.stdout.write(`${HOME}${cut.join("\r\n")}${CLEAR_BELOW}`);
  }
}
