/** A question on the terminal, answered by yes or no. */
import { createInterface } from "node:readline/promises";
import { wrong } from "@sluice/runtime/cli";

/** @throws CliError where nobody is there to answer: what is asked for needs `--yes` then */
export async function confirmed(command: string, question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw wrong(command, "there is no terminal to ask the question on", "add --yes");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
  } finally {
    lines.close();
  }
}
