/**
 * The terminal of the caller. The command never has it: its output comes from a terminal of its own and is shown here, and keys go the other
 * way. While a question is shown the output waits, and the lines that are typed are answers.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { isatty, ReadStream } from "node:tty";
import { native, TERMIOS_BYTES, WINSIZE_WORDS } from "@sluice/native";
import { CommandTerminal } from "./command-terminal.js";
import { forgetHungUp, isHungUp } from "./forget-terminal.js";

const STANDARD_FILES = [0, 1, 2];
/** A shell that moves this process to the foreground does not tell it. */
const LOOK_AGAIN_MS = 500;
/**
 * The command's last output may be half of an escape sequence, or hide text. Cancel and end a sequence; keep the cursor while the whole screen
 * becomes the region that scrolls; plain attributes, ASCII, and a visible cursor.
 */
const LEGIBLE = "\x18\x1b\\\x1b7\x1b[r\x1b8\x1b[0m\x1b(B\x0f\x1b[?25h\r\n";

const NO_GROUP = "-1";

/** Whether this process may read from its terminal: a process in the background that does is stopped. */
function isInForeground(): boolean {
  // The second field, the name in parentheses, may contain anything.
  const fields = readFileSync("/proc/self/stat", "latin1").split(") ").at(-1)?.split(" ") ?? [];
  const [group, foreground] = [fields[2], fields[5]];
  return foreground === NO_GROUP || group === foreground;
}

function openControlling(): number | undefined {
  try {
    return openSync("/dev/tty", constants.O_RDWR | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
}

type Reader = "command" | "person";

export class CallerTerminal {
  /** Undefined: no standard file is a terminal. */
  readonly command: CommandTerminal | undefined;
  /** The standard files that are terminals. The command has its own in their place. */
  readonly replaced: readonly number[];
  readonly #fd: number;
  readonly #screen: ReadStream;
  readonly #mode = new Uint8Array(TERMIOS_BYTES);
  #keys: ReadStream | undefined;
  #reader: Reader | undefined;
  #hasBegun = false;
  #onLine: ((line: string) => void) | undefined;
  #typed = "";
  #timer: NodeJS.Timeout | undefined;

  private constructor(fd: number, replaced: readonly number[]) {
    this.#fd = fd;
    this.replaced = replaced;
    native.terminalMode(fd, this.#mode);
    this.command = replaced.length > 0 ? new CommandTerminal(this.#mode) : undefined;
    this.#screen = new ReadStream(native.dupfd(fd));
    this.#screen.on("error", () => undefined);
    this.#resize();
  }

  /** @returns undefined if the caller has none. @throws CliError */
  static open(): CallerTerminal | undefined {
    const replaced = STANDARD_FILES.filter((fd) => isatty(fd));
    const [first] = replaced;
    const fd = openControlling() ?? (first === undefined ? undefined : native.dupfd(first));
    return fd === undefined ? undefined : new CallerTerminal(fd, replaced);
  }

  /** The command has its terminal. */
  attach(): void {
    this.command?.attach((output) => {
      if (this.#screen.writable && !this.#screen.write(output)) this.command?.hold("screen", true);
    });
    this.#screen.on("drain", () => this.command?.hold("screen", false));
  }

  /** From now on keys are the command's. */
  begin(): void {
    this.#hasBegun = true;
    process.on("exit", this.#atExit);
    process.on("SIGWINCH", this.#resize);
    process.on("SIGCONT", this.#continued);
    this.#timer = setInterval(this.#serve, LOOK_AGAIN_MS).unref();
    this.#serve();
  }

  /** `onDrawn` is called when the terminal has taken the text, after all that was written before. */
  write(text: string, onDrawn: () => void = () => undefined): void {
    const isClean = this.command === undefined || ["", "dumb"].includes(process.env["TERM"] ?? "");
    if (this.#screen.writable) this.#screen.write((isClean ? "" : LEGIBLE) + text.replaceAll("\n", "\r\n"), onDrawn);
  }

  /** Holds the output of the command, and passes lines on that are typed from now on. @returns false if none can be read here */
  listen(onLine: (line: string) => void): boolean {
    const wasListening = this.#reader === "person";
    this.#onLine = onLine;
    this.#serve();
    // Half of a line may be there, which was typed for the last listener.
    if (wasListening) this.#forgetTyped();
    if (this.#reader === "person") return true;
    this.#onLine = undefined;
    return false;
  }

  /** The end of `listen`. */
  ignore(): void {
    this.#onLine = undefined;
    this.#serve();
  }

  /** Every program of the session has ended. Resolves when all its output is shown, and the terminal is as it was. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    process.off("SIGWINCH", this.#resize);
    process.off("SIGCONT", this.#continued);
    const rest = this.command?.end();
    await new Promise<void>((resolve) => {
      if (this.#screen.writable) this.#screen.write(rest ?? "", () => resolve());
      else resolve();
    });
    this.#hasBegun = false;
    this.#onLine = undefined;
    this.#serve();
    process.off("exit", this.#atExit);
    this.#screen.destroy();
    forgetHungUp();
    closeSync(this.#fd);
  }

  /** Gives the keys to the reader whose turn it is. Nothing that was typed for one is read by the other. */
  readonly #serve = (): void => {
    const wanted = isInForeground() ? this.#wantedReader() : undefined;
    if (wanted === this.#reader) return;
    const before = this.#reader;
    this.#reader = wanted;
    this.command?.hold("question", wanted === "person");
    if (wanted === undefined) {
      this.#keys?.destroy();
      this.#keys = undefined;
      if (isInForeground()) this.#restore();
      return;
    }
    this.#takeMode(wanted);
    if (wanted === "person" || before === "person") this.#forgetTyped();
    this.#keys ??= this.#read();
  };

  #forgetTyped(): void {
    this.#typed = "";
    native.flushInput(this.#fd);
  }

  /** Without a terminal as standard input, and with a pipe as output, the keys are another program's: `make </dev/null | less`. */
  #wantedReader(): Reader | undefined {
    if (this.#onLine !== undefined) return "person";
    const readsKeys = this.replaced.includes(0) || (this.replaced.length > 0 && !fstatSync(1).isFIFO());
    return this.#hasBegun && readsKeys ? "command" : undefined;
  }

  #takeMode(reader: Reader): void {
    const raw = reader === "command";
    // Another program of a pipeline may write lines here.
    const isAlone = !STANDARD_FILES.some((fd) => fstatSync(fd).isFIFO());
    native.setTerminalMode(this.#fd, this.#mode, raw, raw && isAlone);
  }

  #restore(): void {
    native.setTerminalMode(this.#fd, this.#mode, false, false);
  }

  readonly #atExit = (): void => {
    if (this.#reader !== undefined) this.#restore();
  };

  readonly #resize = (): void => {
    const size = new Uint16Array(WINSIZE_WORDS);
    if (native.terminalSize(this.#fd, size) >= 0) this.command?.resize(size);
  };

  /** A shell has stopped this process, and set a mode of its own meanwhile. */
  readonly #continued = (): void => {
    this.#serve();
    if (this.#reader !== undefined) this.#takeMode(this.#reader);
    this.#resize();
  };

  #read(): ReadStream {
    const keys = new ReadStream(native.dupfd(this.#fd));
    const hungUp = (): void => {
      if (this.#keys === keys) this.command?.hangUp();
    };
    keys.on("error", hungUp);
    keys.on("end", () => {
      if (this.#keys === keys && !isHungUp(this.#fd)) this.#readOn();
      else hungUp();
    });
    keys.on("data", (typed: Buffer) => {
      if (this.#reader === "person") this.#takeLines(typed);
      else if (this.command?.type(typed, () => keys.resume()) === false) keys.pause();
    });
    return keys;
  }

  /** Ctrl-D at a question ends the input, but the terminal is there. It is no answer, nor does it make one of half a line. */
  #readOn(): void {
    this.#keys = this.#read();
    this.#typed = "";
    this.#onLine?.("");
  }

  #takeLines(typed: Buffer): void {
    const lines = (this.#typed + typed.toString("latin1")).split("\n");
    this.#typed = lines.pop() ?? "";
    for (const line of lines) this.#onLine?.(line);
  }
}
