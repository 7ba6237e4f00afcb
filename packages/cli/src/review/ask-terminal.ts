/** Questions to the person at the terminal, answered by one key. */
import { isatty } from "node:tty";

const STANDARD_INPUT = 0;
const STANDARD_ERROR = 2;

/**
 * Whether a person can be asked: the answer comes from standard input, and the question goes to standard error. `process.stdin` would know, too,
 * but Node takes 2 ms to open it.
 */
export function hasTerminal(): boolean {
  return isatty(STANDARD_INPUT) && isatty(STANDARD_ERROR);
}

/** Signals that end a question, and all later ones. SIGINT is a key of the terminal. */
const ENDS = ["SIGTERM", "SIGHUP"] as const;
type EndingQuestions = (typeof ENDS)[number];

let told: EndingQuestions | undefined;
let endQuestion: () => void = () => undefined;

/** From now on such a signal ends no more than the questions: the caller goes on to its own end. @returns the signal that came */
export function surviveQuestions(): () => EndingQuestions | undefined {
  for (const signal of ENDS) {
    process.on(signal, () => {
      told ??= signal;
      endQuestion();
    });
  }
  return () => told;
}

function line(question: string): Promise<string | undefined> {
  const { createInterface } = process.getBuiltinModule("node:readline");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    let open = true;
    const end = (answer: string | undefined): void => {
      if (!open) return;
      open = false;
      endQuestion = () => undefined;
      // The cursor is still behind the question.
      if (answer === undefined) process.stderr.write("\n");
      resolve(answer);
      terminal.close();
    };
    endQuestion = () => end(undefined);
    terminal.on("SIGINT", endQuestion);
    // After Ctrl-Z readline leaves its input paused, and this process would end.
    terminal.on("SIGCONT", () => terminal.resume());
    terminal.on("close", () => end(undefined));
    terminal.question(`${question} `, end);
  });
}

/** Asks until one of the keys is the answer. @returns undefined if the person ends the input */
export async function ask(question: string, keys: string): Promise<string | undefined> {
  while (told === undefined) {
    const answer = (await line(question))?.trim().toLowerCase();
    if (answer === undefined) return undefined;
    const [key] = answer;
    if (key !== undefined && keys.includes(key)) return key;
  }
  return undefined;
}
