/**
 * Shows the questions that the policy of a session puts to a person, at the terminal of the caller, and reads the answer there. The command
 * has another terminal, or none, so it can neither draw over a question nor read the answer.
 */
import { ask, type AskItem, connectControl, connectWatch } from "@sluice/mount-control";
import { escapeLine, escapeTextName, failed } from "@sluice/runtime/cli";
import type { CallerTerminal } from "./caller-terminal.js";

export interface SessionMount {
  /** The name of the session. */
  name: string;
  view: string;
  control: string;
}

type Terminal = Pick<CallerTerminal, "write" | "listen" | "ignore">;

const STANDARD_ERROR: Terminal = {
  write: (text, onDrawn) => void process.stderr.write(text, onDrawn),
  listen: () => false,
  ignore: () => undefined,
};

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

function howTo(item: AskItem, reads: boolean): string {
  if (reads) return `sluice: answer${secondsLeft(item)}: [o]nce, [s]ession, [a]lways or [d]eny`;
  return `sluice: to answer${secondsLeft(item)}, in another terminal: sluice answer ${item.askId} once|session|always|deny`;
}

class Prompt {
  /** Questions with callers that wait, oldest first, and how many. */
  readonly #open = new Map<string, { item: AskItem; callers: number }>();
  /** The one whose answer is read here. Others wait for it: an answer is never for another one than the person sees. */
  #answering: string | undefined;
  /** A slow terminal may draw it seconds after the output of the command that is before it. */
  #shownMs = Number.POSITIVE_INFINITY;
  #toldTooSoon = false;
  readonly #told = new Set<string>();
  readonly #mount: SessionMount;
  readonly #terminal: Terminal;

  constructor(mount: SessionMount, terminal: Terminal) {
    this.#mount = mount;
    this.#terminal = terminal;
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
    if (this.#answering === undefined) this.#show(item);
  }

  #show(item: AskItem): void {
    const reads = this.#terminal.listen((line) => void this.#take(line));
    this.#answering = reads ? item.askId : undefined;
    this.#shownMs = Number.POSITIVE_INFINITY;
    this.#toldTooSoon = false;
    this.#terminal.write(`${described(item)}\n${howTo(item, reads)}\n`, () => {
      if (this.#answering === item.askId) this.#shownMs = performance.now();
    });
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
    if (askId !== this.#answering) return;
    this.#answering = undefined;
    const [next] = this.#open.values();
    if (next === undefined) this.#terminal.ignore();
    else this.#show(next.item);
  }

  /** Once for each question: lines that were typed ahead may be many. */
  #tooSoon(): void {
    if (this.#toldTooSoon) return;
    this.#toldTooSoon = true;
    this.#terminal.write("sluice: typed too soon after the question to be an answer: type it again\n");
  }

  /** The answer to the question that is shown. Nothing that is typed before it counts. */
  async #take(line: string): Promise<void> {
    const shown = this.#open.get(this.#answering ?? "");
    if (shown === undefined) return;
    if (performance.now() - this.#shownMs < SOONEST_MS) {
      this.#tooSoon();
      return;
    }
    const answer = choiceOf(line);
    if (answer === undefined) {
      this.#terminal.write(`${howTo(shown.item, true)}\n`);
      return;
    }
    const { name, view, control } = this.#mount;
    try {
      const socket = await connectControl(view, control);
      if (socket === undefined) throw failed(`session ${name}`, "its mount takes no answer (ENOENT)", "answer again");
      for await (const _ of ask(socket, { method: "answer", askId: shown.item.askId, answer, way: "terminal" }, name)) break;
    } catch (error) {
      const again = this.#open.has(shown.item.askId) ? `${howTo(shown.item, true)}\n` : "";
      this.#terminal.write(`${escapeLine(`sluice: ${(error as Error).message}`)}\n${again}`);
    }
  }
}

/** Shows questions until it is closed. `terminal`: that of the caller. `silent`: nothing may be written elsewhere. */
export function promptForPerson(
  mount: SessionMount,
  { terminal, silent }: { terminal: CallerTerminal | undefined; silent: boolean },
): { close(): void } {
  let socket: Awaited<ReturnType<typeof connectControl>>;
  let closed = false;
  const prompt = terminal === undefined && silent ? undefined : new Prompt(mount, terminal ?? STANDARD_ERROR);
  const watch = async (): Promise<void> => {
    socket = await connectWatch(mount.view, mount.control);
    if (socket === undefined || closed) return;
    for await (const item of ask(socket, { method: "asks", watch: true }, mount.name)) prompt?.heard(item as AskItem);
  };
  // The questions can be answered in other ways, and the end of the mount ends this.
  watch().catch(() => undefined);
  return {
    close() {
      closed = true;
      socket?.destroy();
    },
  };
}
