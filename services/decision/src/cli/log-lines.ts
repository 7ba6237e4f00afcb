/** A decision log as lines. */
import { createReadStream } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import { CliError, EXIT } from "@sluice/runtime";

/** "-": standard input. @throws CliError, exit code 2, where it cannot be read */
export async function logLines(log: string): Promise<Interface> {
  if (log === "-") return createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  const input = createReadStream(log, "utf8");
  // An error of the stream reaches no reader of lines: it is looked for before.
  await new Promise<void>((resolve, reject) => input.once("open", () => resolve()).once("error", reject)).catch(
    (cause: NodeJS.ErrnoException) => {
      throw new CliError(
        { object: log, problem: "it cannot be read", errno: cause.code, remedy: "give a decision log", exitCode: EXIT.USAGE },
        { cause },
      );
    },
  );
  return createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
}
