/**
 * The terminal, taken over for pictures that follow each other, and given back as it was: at the end, on a signal, at an
 * exit that nobody foresaw, and while the job is stopped.
 */

/** A screen of its own, no cursor, and no line that goes on in the next one: names may be wider than they are long. */
const ALTERNATE = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const BACK = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

/** SIGHUP: the terminal itself has gone. */
const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;
/** Control-Z: in raw mode the terminal makes no signal of it. */
const SUSPEND = "\u001a";
/** Arrow and function keys: nothing here is moved by them. */
// oxlint-disable-next-line no-control-regex -- that is what they begin with
const SEQUENCES = /\u001b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])/g;

/** Lines for so many rows. */
type Picture = (rows: number) => readonly string[];

/** Whether standard output is a terminal that understands more than lines. */
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
  readonly #goOn = (): void => {
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
    // Whoever stopped it from outside may have set the terminal meanwhile.
    process.on("SIGCONT", this.#goOn);
    this.#enter();
    if (!this.hasKeys) return;
    process.stdin.setEncoding("utf8");
    process.stdin.on("data", this.#read);
    for (const gone of ["end", "error"]) process.stdin.on(gone, this.end);
  }

  /** Whether somebody can press keys: standard input may be something else. */
  get hasKeys(): boolean {
    return process.stdin.isTTY;
  }

  /** Aborted when somebody wants to end. */
  get ended(): AbortSignal {
    return this.#over.signal;
  }

  /** `pressed`: called with each key, whole characters. */
  onKey(keyPressed: (key: string) => void): void {
    this.#keyPressed = keyPressed;
  }

  show(picture: Picture): void {
    this.#picture = picture;
    this.#draw();
  }

  close(): void {
    process.stdout.off("resize", this.#redraw);
    process.off("SIGCONT", this.#goOn);
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

  /** Returns when the job goes on; at once where nobody could make it go on, since the kernel then does not stop it. */
  #suspend(): void {
    this.#leave();
    // The whole job, as the terminal does it: the shell waits for what started us, too.
    process.kill(0, "SIGTSTP");
    this.#goOn();
  }

  #draw(): void {
    if (!this.#taken) return;
    // Some terminals say that they have no size.
    const columns = process.stdout.columns || 80;
    // Never the last line's end: the terminal would scroll.
    const rows = (process.stdout.rows || 24) - 1;
    const shown = this.#picture(rows).slice(0, rows);
    const cut = shown.map((line) => (line.length > columns ? Array.from(line).slice(0, columns).join("") : line) + CLEAR_LINE);
    process.stdout.write(`${HOME}${cut.join("\r\n")}${CLEAR_BELOW}`);
  }
}
