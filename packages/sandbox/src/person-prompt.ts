/**
 * Shows the questions that the policy of a session puts to a person. The command shares the terminal of the caller: it can draw anything
 * there, and reads what is typed. So the question only tells how to answer it from another terminal, unless the command has no terminal at
 * all: then it runs in a session of its own, and the answer is read here.
 */
import { closeSync, constants, openSync } from "node:fs";
import { createInterface } from "node:readline";
import { isatty, ReadStream, WriteStream } from "node:tty";
import { ask, type AskItem, connectControl } from "@sluice/mount-control";
import { escapeLine, escapeTextName } from "@sluice/runtime/cli";
import { ownsTerminal } from "./command-process.js";

/** Whether the command would have a terminal by its standard files. */
export function commandHasTerminal(): boolean {
  return [0, 1, 2].some((fd) => isatty(fd));
}

export interface SessionMount {
  /** The name of the session. */
  name: string;
  view: string;
  control: string;
}

interface Terminal {
  write(text: string): void;
  /** Undefined: no answer can be read here. */
  lines: ReturnType<typeof createInterface> | undefined;
  close(): void;
}

function openTty(flags: number): number | undefined {
  try {
    return openSync("/dev/tty", flags | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
}

function hasTty(): boolean {
  const fd = openTty(constants.O_WRONLY);
  if (fd !== undefined) closeSync(fd);
  return fd !== undefined;
}

/** The caller's terminal; without one, standard error. */
function openTerminal(reads: boolean): Terminal {
  const out = isatty(2) ? undefined : openTty(constants.O_WRONLY);
  const screen = out === undefined ? process.stderr : new WriteStream(out);
  // A program may have switched the translation of line ends off.
  const end = out !== undefined || isatty(2) ? "\r\n" : "\n";
  const input = reads ? openTty(constants.O_RDONLY) : undefined;
  const typed = input === undefined ? undefined : new ReadStream(input);
  typed?.on("error", () => undefined);
  return {
    write: (text) => void screen.write(text.replaceAll("\n", end)),
    lines: typed && createInterface({ input: typed }),
    close() {
      typed?.destroy();
      if (screen !== process.stderr) screen.destroy();
      if (out !== undefined && screen === process.stderr) closeSync(out);
    },
  };
}

/** Nobody reads and answers a question so soon: it was typed before. */
const SOONEST_MS = 250;

const CHOICES = { o: "once", s: "session", a: "always", d: "deny" } as const;
type Choice = (typeof CHOICES)[keyof typeof CHOICES];

function choiceOf(line: string): Choice | undefined {
  const word = line.trim().toLowerCase();
  return Object.entries(CHOICES).find(([letter, whole]) => word === letter || word === whole)?.[1];
}

function described({ program, pid, uid, accesses, operation, paths, rule }: AskItem): string {
  const who = `${program === null ? "an unknown program" : escapeTextName(program)} (pid ${pid}, uid ${uid})`;
  const what = operation === "open" ? accesses.join(", ") : `${operation} (${accesses.join(", ")})`;
  return escapeLine(`sluice: ${who} asks for: ${what} ${escapeTextName(paths[0] ?? "")} (rule ${escapeTextName(rule)})`);
}

function secondsLeft({ until }: AskItem): string {
  return until === null ? "" : ` within ${Math.max(1, Math.round((Date.parse(until) - Date.now()) / 1000))} s`;
}

class Prompt {
  /** Questions with callers that wait, oldest first, and how many. */
  readonly #open = new Map<string, { item: AskItem; callers: number }>();
  /** When the question that is answered next was shown. */
  #shownMs = 0;
  readonly #told = new Set<string>();
  readonly #mount: SessionMount;
  readonly #terminal: Terminal;

  constructor(mount: SessionMount, terminal: Terminal) {
    this.#mount = mount;
    this.#terminal = terminal;
    terminal.lines?.on("line", (line) => void this.#take(line));
  }

  heard(item: AskItem): void {
    if (item.waiting === 0) this.#denied(item);
    else if (item.change === "left") this.#left(item.askId);
    else this.#asked(item);
  }

  #asked(item: AskItem): void {
    const known = this.#open.get(item.askId);
    if (known !== undefined) {
      known.callers++;
      return;
    }
    this.#open.set(item.askId, { item, callers: 1 });
    this.#show(item);
  }

  #show(item: AskItem): void {
    if (this.#open.size === 1) this.#shownMs = performance.now();
    this.#terminal.write(`${described(item)}\n${this.#howTo(item)}\n`);
  }

  #howTo(item: AskItem): string {
    if (this.#reads) return `sluice: answer${secondsLeft(item)}: [o]nce, [s]ession, [a]lways or [d]eny`;
    return `sluice: to answer${secondsLeft(item)}, in another terminal: sluice answer ${item.askId} once|session|always|deny`;
  }

  /** A process in the background that reads from its terminal is stopped. */
  get #reads(): boolean {
    return this.#terminal.lines !== undefined && ownsTerminal();
  }

  /** Once for each question: a program may try again and again. */
  #denied(item: AskItem): void {
    if (this.#told.has(item.askId)) return;
    this.#told.add(item.askId);
    const how = `sluice: denied for now; for the next attempt: sluice answer ${item.askId} once|session|always|deny`;
    this.#terminal.write(`${described(item)}\n${how}\n`);
  }

  #left(askId: string): void {
    const known = this.#open.get(askId);
    if (known === undefined || --known.callers > 0) return;
    this.#open.delete(askId);
    if (!this.#reads) return;
    const [next] = this.#open.values();
    if (next === undefined) return;
    this.#shownMs = performance.now();
    this.#show(next.item);
  }

  /** The answer to the oldest question. Nothing that is typed before a question counts. */
  async #take(line: string): Promise<void> {
    const [oldest] = this.#open.values();
    if (oldest === undefined || performance.now() - this.#shownMs < SOONEST_MS) return;
    const answer = choiceOf(line);
    if (answer === undefined) {
      this.#terminal.write(`${this.#howTo(oldest.item)}\n`);
      return;
    }
    const { name, view, control } = this.#mount;
    try {
      const socket = await connectControl(view, control);
      if (socket === undefined) return;
      for await (const _ of ask(socket, { method: "answer", askId: oldest.item.askId, answer, way: "terminal" }, name)) break;
    } catch (error) {
      this.#terminal.write(escapeLine(`sluice: ${(error as Error).message}\n`));
    }
  }
}

/** Shows questions until it is closed. `silent`: nothing but a question on a terminal may be written. */
export function promptForPerson(mount: SessionMount, { silent }: { silent: boolean }): { close(): void } {
  // From the beginning, so that nothing typed before a question is an answer.
  let terminal = !commandHasTerminal() && ownsTerminal() ? openTerminal(true) : undefined;
  let socket: Awaited<ReturnType<typeof connectControl>>;
  let closed = false;
  const watch = async (): Promise<void> => {
    socket = await connectControl(mount.view, mount.control);
    if (socket === undefined || closed) return;
    let prompt: Prompt | undefined;
    const shown = !silent || hasTty();
    for await (const item of ask(socket, { method: "asks", watch: true }, mount.name)) {
      if (!shown) continue;
      terminal ??= openTerminal(false);
      prompt ??= new Prompt(mount, terminal);
      prompt.heard(item as AskItem);
    }
  };
  // The questions can be answered in other ways, and the end of the mount ends this.
  watch().catch(() => undefined);
  return {
    close() {
      closed = true;
      socket?.destroy();
      terminal?.close();
    },
  };
}
