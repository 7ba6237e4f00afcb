/** Questions to the person at the terminal, answered by a word or its first letter. */
import { isatty } from "node:tty";
import { forgetHungUp } from "@sluice/sandbox/forget-terminal";

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
let isDeaf = false;

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

/** The terminal may be hung up at any time. The end of the input tells of that. */
function ignoreErrors(): void {
  if (isDeaf) return;
  isDeaf = true;
  for (const stream of [process.stdin, process.stderr]) stream.on("error", () => undefined);
}

function line(question: string): Promise<string | undefined> {
  const { createInterface } = process.getBuiltinModule("node:readline");
  ignoreErrors();
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    let open = true;
    const end = (answer: string | undefined): void => {
      if (!open) return;
      open = false;
      endQuestion = () => undefined;
      // The input of a terminal that is gone may end before its signal comes.
      if (answer === undefined && forgetHungUp()) told ??= "SIGHUP";
      // The cursor is still behind the question.
      if (answer === undefined) process.stderr.write("\n");
      resolve(answer);
      terminal.close();
    };
    endQuestion = () => end(undefined);
    terminal.on("SIGINT", endQuestion);
    // After Ctrl-Z readline leaves its input paused, and this process would end.
    terminal.on("SIGCONT", () => terminal.resume());
    terminal.on("error", () => end(undefined));
    terminal.on("close", () => end(undefined));
    terminal.question(`${question} `, end);
  });
}

/**
 * Asks until one of the words is the answer, or its first letter. Another word that begins with the letter is none: "abort" does not apply.
 * @returns the letter; undefined if the person ends the input
 */
export async function ask(question: string, words: readonly string[]): Promise<string | undefined> {
  while (told === undefined) {
    const answer = (await line(question))?.trim().toLowerCase();
    if (answer === undefined) return undefined;
    const word = words.find((one) => answer === one || answer === one[0]);
    if (word !== undefined) return word[0];
  }
  return undefined;
}
