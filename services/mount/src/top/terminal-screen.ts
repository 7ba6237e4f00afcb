/** The terminal, taken over for pictures that follow each other, and given back as it was. */

const ALTERNATE = "\u001b[?1049h\u001b[?25l";
const BACK = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

/** q, Ctrl-C, Ctrl-D. */
const ENDING = [0x71, 3, 4];

export class TerminalScreen {
  readonly #over = new AbortController();
  #lines: readonly string[] = [];
  readonly #redraw = (): void => this.#draw();
  readonly #end = (): void => this.#over.abort();

  constructor() {
    process.stdout.write(ALTERNATE);
    process.stdout.on("resize", this.#redraw);
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, this.#end);
    if (!process.stdin.isTTY) return;
    process.stdin.setRawMode(true);
    process.stdin.on("data", (keys: Buffer) => {
      if (ENDING.some((key) => keys.includes(key))) this.#end();
    });
  }

  /** Aborted when somebody wants to end. */
  get ended(): AbortSignal {
    return this.#over.signal;
  }

  show(lines: readonly string[]): void {
    this.#lines = lines;
    this.#draw();
  }

  close(): void {
    process.stdout.off("resize", this.#redraw);
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, this.#end);
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(false);
      process.stdin.pause();
    }
    process.stdout.write(BACK);
  }

  #draw(): void {
    // Some terminals say that they have no size.
    const columns = process.stdout.columns || 80;
    const rows = process.stdout.rows || 24;
    // Never the last line's end: the terminal would scroll.
    const shown = this.#lines.slice(0, rows - 1).map((line) => line.slice(0, columns) + CLEAR_LINE);
    process.stdout.write(`${HOME}${shown.join("\r\n")}${CLEAR_BELOW}`);
  }
}
